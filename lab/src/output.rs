//! Standard output, whose reader may have seen enough (`dimmer-lab predict FILE | head`).
//!
//! A pipe that is closed is no error, and nobody is told of it. What only prints, or has found out what it prints, goes on to
//! its end, and its exit status says what it always does. What would go on for long to print more ends.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

pub use dimmer::complaint::complain;

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Standard output; what nobody reads is dropped.
pub fn stdout() -> impl Write {
    Output { ends: false }
}

/// Standard output; what nobody reads is an error, behind which [`is_closed`].
pub fn while_read() -> impl Write {
    Output { ends: true }
}

/// Whether the pipe behind standard output was found closed.
pub fn is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// Writes a line to [`stdout`].
///
/// # Errors
/// Those of standard output, but for a pipe that is closed.
pub fn say(words: Arguments<'_>) -> io::Result<()> {
    writeln!(stdout(), "{words}")
}

struct Output {
    /// Whether it is to end when nobody reads it.
    ends: bool,
}

impl Output {
    fn read<T>(&self, result: io::Result<T>, unread: T) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                CLOSED.store(true, Ordering::Relaxed);
                if self.ends { Err(error) } else { Ok(unread) }
            }
            result => result,
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.read(io::stdout().write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.read(io::stdout().flush(), ())
    }
}
