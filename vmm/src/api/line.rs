//! What every connection is doing, from outside of HTTP: whose client has said nothing for how long.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, Bytes};
use dimmer_devices::bus::lock;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::Notify;

use super::limits::Limits;

/// All connections that there are.
#[derive(Debug, Default)]
pub struct Lines(Mutex<Vec<Weak<Line>>>);

/// One connection.
#[derive(Debug)]
pub struct Line {
    phase: Mutex<Phase>,
    end: Notify,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A request, since then.
    Idle(Instant),
    /// The rest of a request's head, since then.
    Head(Instant),
    /// The machine: a request is being answered.
    Busy,
}

impl Lines {
    /// One more.
    pub fn add(&self) -> Arc<Line> {
        let line = Arc::new(Line { phase: Mutex::new(Phase::Idle(Instant::now())), end: Notify::new() });
        lock(&self.0).push(Arc::downgrade(&line));
        line
    }

    /// Ends those that wait for too long, and one more if there are too many.
    pub fn look(&self, limits: &Limits) {
        let there = self.there();
        for line in &there {
            let late = match *lock(&line.phase) {
                Phase::Idle(since) => since.elapsed() > limits.idle,
                Phase::Head(since) => since.elapsed() > limits.head,
                Phase::Busy => false,
            };
            if late {
                line.end.notify_one();
            }
        }
        if there.len() > limits.connections {
            self.make_room();
        }
    }

    /// Ends the one that has waited longest for its client, if there is one.
    pub fn make_room(&self) {
        let waits = |line: Arc<Line>| match *lock(&line.phase) {
            Phase::Idle(since) | Phase::Head(since) => Some((since, line.clone())),
            Phase::Busy => None,
        };
        if let Some((_, line)) = self.there().into_iter().filter_map(waits).min_by_key(|(since, _)| *since) {
            line.end.notify_one();
        }
    }

    fn there(&self) -> Vec<Arc<Line>> {
        let mut lines = lock(&self.0);
        lines.retain(|line| line.strong_count() > 0);
        lines.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Line {
    /// Waits until the connection has to end although nothing is wrong with it.
    pub async fn ended(&self) {
        self.end.notified().await;
    }

    /// A request is there; it is being answered until the result is dropped.
    pub fn busy(self: &Arc<Self>) -> Busy {
        *lock(&self.phase) = Phase::Busy;
        Busy(self.clone())
    }

    /// The client said something.
    fn heard(&self) {
        let mut phase = lock(&self.phase);
        if let Phase::Idle(_) = *phase {
            *phase = Phase::Head(Instant::now());
        }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub struct Busy(Arc<Line>);

impl Drop for Busy {
    fn drop(&mut self) {
        *lock(&self.0.phase) = Phase::Idle(Instant::now());
    }
}

/// The body of an answer: what was asked is answered when it is gone.
#[derive(Debug)]
pub struct Sent {
    body: Body,
    _busy: Busy,
}

impl Sent {
    /// The `body` that ends `busy`.
    pub fn new(body: Body, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl hyper::body::Body for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection that notes when its client says something.
#[derive(Debug)]
pub struct Heard {
    stream: UnixStream,
    line: Arc<Line>,
}

impl Heard {
    /// What comes through `stream` is noted at `line`.
    pub const fn new(stream: UnixStream, line: Arc<Line>) -> Self {
        Self { stream, line }
    }
}

impl AsyncRead for Heard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.line.heard();
        }
        read
    }
}

impl AsyncWrite for Heard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Whether it has been told to end; it is not told any more then.
    fn told(line: &Line) -> bool {
        let mut ended = std::pin::pin!(line.ended());
        let mut context = Context::from_waker(std::task::Waker::noop());
        ended.as_mut().poll(&mut context).is_ready()
    }

    #[test]
    fn who_waits_longest_makes_room_and_who_is_being_answered_never() {
        let lines = Lines::default();
        let (first, second, third) = (lines.add(), lines.add(), lines.add());
        let answered = first.busy();
        second.heard();
        lines.make_room();
        assert_eq!([&first, &second, &third].map(|line| told(line)), [false, false, true]);
        let _busy = third.busy();
        lines.make_room();
        assert_eq!([&first, &second].map(|line| told(line)), [false, true]);
        let _busy = second.busy();
        lines.make_room();
        assert!([&first, &second, &third].iter().all(|line| !told(line)), "nobody waits");
        drop(answered);
        lines.make_room();
        assert!(told(&first), "it waits again when it is answered");
    }

    #[test]
    fn each_phase_has_its_limit() {
        let (never, at_once) = (Duration::MAX, Duration::ZERO);
        let lines = Lines::default();
        let (idle, slow, busy) = (lines.add(), lines.add(), lines.add());
        slow.heard();
        let _answer = busy.busy();
        busy.heard();
        std::thread::sleep(Duration::from_millis(2));
        lines.look(&Limits { idle: at_once, head: never, ..Limits::default() });
        assert_eq!([&idle, &slow, &busy].map(|line| told(line)), [true, false, false]);
        lines.look(&Limits { idle: never, head: at_once, ..Limits::default() });
        assert_eq!([&idle, &slow, &busy].map(|line| told(line)), [false, true, false]);
        lines.look(&Limits { connections: 3, ..Limits::default() });
        assert_eq!([&idle, &slow, &busy].map(|line| told(line)), [false, false, false]);
        lines.look(&Limits { connections: 2, ..Limits::default() });
        assert_eq!([&idle, &slow].map(|line| told(line)).iter().filter(|told| **told).count(), 1);
    }
}
