//! What the guest writes to its console, on the way to whoever reads it: a terminal, a pipe or a file, any of which may
//! stand still for as long as it likes. A thread of its own waits for them, so that no vCPU ever does.
//!
//! Up to [`MOST`] bytes wait. What does not fit is dropped and counted, and the count is written where the bytes would
//! have been.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use dimmer_devices::bus::lock;

use crate::sandbox::{self, Kind};

/// Bytes that wait for the reader, at most.
const MOST: usize = 1 << 20;
/// Once something was dropped, nothing is taken until so much fits, so that there is one note and not thousands.
const ROOM_AGAIN: usize = MOST / 2;
/// Bytes that are written at once: a pipe with room for them takes all of them (`PIPE_BUF`, pipe(7)).
const PIECE: usize = 4096;
/// How long the end waits for a reader that takes nothing.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<u8>,
    /// Bytes that were dropped since the last note, and in all.
    dropped: u64,
    dropped_in_all: u64,
    /// Pieces that were written, to see whether anything goes on.
    written: u64,
    writing: bool,
    ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// The vCPUs' side: takes everything at once.
#[derive(Debug, Clone)]
pub struct ConsoleOutput(Arc<Shared>);

/// The end of the output. Dropping it waits until what is there is written, as long as the reader takes some of it.
#[derive(Debug)]
pub struct ConsoleWriter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Starts to write to `output`.
///
/// # Errors
/// When the host has no thread left.
pub fn start(output: Box<dyn Write + Send>) -> io::Result<(ConsoleOutput, ConsoleWriter)> {
    let shared = Arc::new(Shared::default());
    let inside = shared.clone();
    let thread = sandbox::spawn(Kind::Console, "console", move || inside.write_to(output))?;
    Ok((ConsoleOutput(shared.clone()), ConsoleWriter { shared, thread: Some(thread) }))
}

impl Write for ConsoleOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0.state).take(bytes);
        self.0.changed.notify_all();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl State {
    fn take(&mut self, bytes: &[u8]) {
        // The last note may lie beyond it.
        let room = MOST.saturating_sub(self.waiting.len());
        if self.dropped > 0 && room >= ROOM_AGAIN {
            self.note();
        }
        let fits = if self.dropped > 0 { 0 } else { room.min(bytes.len()) };
        self.waiting.extend(&bytes[..fits]);
        let lost = (bytes.len() - fits) as u64;
        self.dropped += lost;
        self.dropped_in_all += lost;
    }

    /// Says in the output what is missing from it.
    fn note(&mut self) {
        let note = format!("\r\n[dimmer: {} bytes of output dropped here]\r\n", self.dropped);
        self.waiting.extend(note.as_bytes());
        self.dropped = 0;
    }

    fn next_piece(&mut self) -> Vec<u8> {
        let length = self.waiting.len().min(PIECE);
        self.waiting.drain(..length).collect()
    }

    fn is_done(&self) -> bool {
        self.waiting.is_empty() && !self.writing
    }
}

impl Shared {
    fn write_to(&self, mut output: Box<dyn Write + Send>) {
        let mut state = lock(&self.state);
        let mut failed = false;
        loop {
            while state.waiting.is_empty() {
                if state.ended {
                    return;
                }
                state = self.wait(state);
            }
            let piece = state.next_piece();
            state.writing = true;
            drop(state);
            // Nobody is there to read any more, or the disk is full: the guest goes on without.
            if let Err(error) = output.write_all(&piece).and_then(|()| output.flush())
                && !std::mem::replace(&mut failed, true)
            {
                tracing::warn!("serial console: {error}");
            }
            state = lock(&self.state);
            state.writing = false;
            state.written += 1;
            self.changed.notify_all();
        }
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all is written, or nothing goes on any more. Returns whether all is.
    fn finish(&self) -> bool {
        let mut state = lock(&self.state);
        if state.dropped > 0 {
            state.note();
        }
        state.ended = true;
        self.changed.notify_all();
        while !state.is_done() {
            let before = state.written;
            let going_on = |state: &mut State| !state.is_done() && state.written == before;
            let waited = self.changed.wait_timeout_while(state, PATIENCE, going_on);
            let (now, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = now;
            if timeout.timed_out() {
                return false;
            }
        }
        true
    }
}

impl Drop for ConsoleWriter {
    fn drop(&mut self) {
        let finished = self.shared.finish();
        let dropped = lock(&self.shared.state).dropped_in_all;
        if dropped > 0 {
            tracing::warn!("serial console: {dropped} bytes were dropped, because nobody read them in time");
        }
        // A thread that waits for a reader who never comes is left behind; the process is about to end.
        if finished && let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::thread;
    use std::time::Instant;

    #[test]
    fn what_is_written_arrives_in_order_and_whole() {
        let (mut reader, writer) = io::pipe().unwrap();
        let (mut output, end) = start(Box::new(writer)).unwrap();
        let said: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let read = thread::spawn(move || {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).map(|_| read)
        });
        said.chunks(7).for_each(|bytes| output.write_all(bytes).unwrap());
        drop(end);
        assert!(read.join().unwrap().unwrap() == said);
    }

    #[test]
    fn a_reader_that_stands_still_holds_nobody_up_and_what_is_dropped_is_counted() {
        let (mut reader, writer) = io::pipe().unwrap();
        let (mut output, end) = start(Box::new(writer)).unwrap();
        // More than fits into pipe, piece and buffer; a writer that waits would wait for ever.
        for _ in 0..3 {
            output.write_all(&vec![b'x'; MOST]).unwrap();
        }
        let dropped = lock(&output.0.state).dropped;
        assert!((MOST as u64..=2 * MOST as u64).contains(&dropped), "{dropped}");
        let kept = 3 * MOST - usize::try_from(dropped).unwrap();
        let mut read = vec![0; kept];
        reader.read_exact(&mut read).unwrap();
        assert!(read.iter().all(|byte| *byte == b'x'));
        output.write_all(b"on").unwrap();
        let rest = thread::spawn(move || {
            let mut rest = String::new();
            reader.read_to_string(&mut rest).map(|_| rest)
        });
        drop(end);
        assert_eq!(
            rest.join().unwrap().unwrap(),
            format!("\r\n[dimmer: {dropped} bytes of output dropped here]\r\non")
        );
    }

    #[test]
    fn what_comes_behind_the_last_note_is_dropped_as_well() {
        let mut state = State::default();
        state.take(&vec![0; MOST + 1]);
        state.note();
        state.take(b"x");
        assert_eq!((state.dropped, state.dropped_in_all), (1, 2));
        assert!(state.waiting.len() > MOST);
    }

    #[test]
    fn the_end_does_not_wait_for_a_reader_who_never_reads() {
        let (_reader, writer) = io::pipe().unwrap();
        let (mut output, end) = start(Box::new(writer)).unwrap();
        output.write_all(&vec![0; MOST]).unwrap();
        let before = Instant::now();
        drop(end);
        assert!(before.elapsed() >= PATIENCE);
    }
}
