//! The body of `GET /events`: ends behind the machine's last event, or when the server stops.

use std::convert::Infallible;
use std::future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use hyper::body::Frame;
use tokio::sync::OwnedSemaphorePermit;

use crate::events::{Event, Hub, MachineEvent, What};
use crate::socket_server::{Stopping, stopped};

/// How often a stream of server-sent events says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A JSON object on each line.
    Lines,
    /// Server-sent events (WHATWG HTML, section 9.2).
    ServerSent,
}

impl Form {
    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::ServerSent => "text/event-stream",
        }
    }

    /// `events`, which follow the number `after`; none of them are a sign of life.
    fn write(self, events: &[Event], after: u64) -> Bytes {
        let mut text = Vec::new();
        if self == Self::ServerSent {
            text.extend(gap(events, after).unwrap_or_default().bytes());
            if events.is_empty() {
                text.extend(b":\n\n");
            }
        }
        for event in events {
            if self == Self::ServerSent {
                text.extend(format!("id: {}\ndata: ", event.sequence).bytes());
            }
            serde_json::to_writer(&mut text, event).expect("an event can be written as JSON");
            text.extend(if self == Self::ServerSent { &b"\n\n"[..] } else { b"\n" });
        }
        text.into()
    }
}

/// Says which numbers behind `after` are missing before `events`, if any are.
fn gap(events: &[Event], after: u64) -> Option<String> {
    let (first, next) = (events.first()?.sequence, after.saturating_add(1));
    (first > next).then(|| format!("event: gap\ndata: {{\"first\":{next},\"last\":{}}}\n\n", first - 1))
}

/// The events that are there, once there are some, or none as a sign of life; `None` when there will be no more.
type Batch = Pin<Box<dyn Future<Output = Option<Vec<Event>>> + Send>>;

/// See the module.
pub struct EventStream {
    form: Form,
    hub: Arc<Hub>,
    stopping: Stopping,
    /// Number of the last event that was written.
    after: u64,
    batch: Batch,
    _place: OwnedSemaphorePermit,
}

impl EventStream {
    /// Begins with the events behind number `after`.
    pub fn new(
        form: Form,
        hub: Arc<Hub>,
        after: u64,
        stopping: Stopping,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let batch = Box::pin(future::ready(None));
        let mut stream = Self { form, hub, stopping, after, batch, _place: place };
        stream.batch = stream.next();
        stream
    }

    fn next(&self) -> Batch {
        let (form, hub, after, stopping) = (self.form, self.hub.clone(), self.after, self.stopping.clone());
        Box::pin(async move {
            let silence = async {
                match form {
                    Form::ServerSent => tokio::time::sleep(HEARTBEAT).await,
                    Form::Lines => future::pending().await,
                }
            };
            tokio::select! {
                biased;
                events = hub.after(after) => Some(events),
                () = stopped(stopping) => None,
                () = silence => Some(Vec::new()),
            }
        })
    }
}

impl hyper::body::Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(events) = ready!(self.batch.as_mut().poll(context)) else { return Poll::Ready(None) };
        let text = self.form.write(&events, self.after);
        let last = events.last();
        self.after = last.map_or(self.after, |event| event.sequence);
        let over = last.is_some_and(|event| matches!(event.what, What::Machine(MachineEvent::Ended { .. })));
        self.batch = if over { Box::pin(future::ready(None)) } else { self.next() };
        Poll::Ready(Some(Ok(Frame::data(text))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(sequence: u64) -> Event {
        Event { sequence, timestamp: Duration::ZERO, what: What::Machine(MachineEvent::Paused) }
    }

    fn text(form: Form, numbers: &[u64], after: u64) -> String {
        let events: Vec<_> = numbers.iter().map(|number| event(*number)).collect();
        String::from_utf8(form.write(&events, after).to_vec()).unwrap()
    }

    #[test]
    fn a_gap_is_said_where_there_is_one() {
        let sent = |numbers: &[u64], after| text(Form::ServerSent, numbers, after);
        assert!(sent(&[5, 6], 4).starts_with("id: 5\ndata: {"));
        assert_eq!(sent(&[5, 6], 4).matches("id: ").count(), 2);
        assert!(sent(&[5], 1).starts_with("event: gap\ndata: {\"first\":2,\"last\":4}\n\nid: 5\n"));
        assert!(sent(&[5], 9).starts_with("id: 5\n"), "numbers that are to come");
        assert!(sent(&[5], u64::MAX).starts_with("id: 5\n"));
        assert!(text(Form::Lines, &[5], 1).starts_with("{\"sequence\":5"));
    }

    #[test]
    fn every_server_sent_event_ends_with_an_empty_line_and_silence_is_a_comment() {
        for piece in text(Form::ServerSent, &[1, 2, 3], 0).split_terminator("\n\n") {
            let (id, data) = piece.split_once('\n').unwrap();
            let json: serde_json::Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(id, format!("id: {}", json["sequence"]));
        }
        assert_eq!(text(Form::ServerSent, &[], 7), ":\n\n");
        assert_eq!(text(Form::Lines, &[], 7), "");
    }
}
