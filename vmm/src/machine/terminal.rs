//! The user's terminal as a serial console: raw while the machine runs, as it was afterwards.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, AsRawFd, RawFd};

use crate::complaint::complain;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// Ctrl-A, the key in front of a command to the VMM.
const ESCAPE: u8 = 0x01;

/// Standard input; a terminal is put back to its former state when this is dropped.
#[derive(Debug)]
pub struct Terminal {
    before: Option<Termios>,
    escaped: bool,
}

/// What was typed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Typed {
    /// Bytes for the guest.
    pub bytes: Vec<u8>,
    /// Ctrl-A X: the user wants the machine to end.
    pub quit: bool,
    /// Nothing more will come.
    pub end: bool,
}

impl Terminal {
    /// Standard input, as it is.
    pub const fn new() -> Self {
        Self { before: None, escaped: false }
    }

    /// Takes standard input over, once the machine runs. On a terminal, keys then reach the guest one by one,
    /// Ctrl-C too; Ctrl-A X ends the machine and Ctrl-A Ctrl-A is Ctrl-A.
    ///
    /// # Errors
    /// When the terminal's mode cannot be changed.
    pub fn take_over(&mut self) -> io::Result<()> {
        let input = io::stdin();
        if !input.is_terminal() {
            return Ok(());
        }
        let before = tcgetattr(input.as_fd())?;
        let mut raw = before.clone();
        raw.make_raw();
        // Output stays cooked, so that the VMM's own messages begin at the left.
        raw.output_modes = before.output_modes;
        tcsetattr(input.as_fd(), OptionalActions::Now, &raw)?;
        complain(format_args!("dimmer: the terminal is the guest's console; Ctrl-A X ends the machine\r"));
        self.before = Some(before);
        Ok(())
    }

    /// The descriptor to wait on.
    pub fn descriptor(&self) -> RawFd {
        io::stdin().as_raw_fd()
    }

    /// Reads what is there; blocks when nothing is.
    pub fn read(&mut self) -> Typed {
        let mut buffer = [0; 1024];
        // Not through `io::stdin()`: it would keep bytes that the event loop then does not see.
        match rustix::io::read(io::stdin().as_fd(), &mut buffer) {
            Ok(0) => Typed { end: true, ..Typed::default() },
            Ok(read) => self.interpret(&buffer[..read]),
            Err(error) => Typed { end: error != rustix::io::Errno::INTR, ..Typed::default() },
        }
    }

    fn interpret(&mut self, bytes: &[u8]) -> Typed {
        if self.before.is_none() {
            return Typed { bytes: bytes.to_vec(), ..Typed::default() };
        }
        let mut typed = Typed::default();
        for byte in bytes {
            match (std::mem::take(&mut self.escaped), *byte) {
                (false, ESCAPE) => self.escaped = true,
                (true, b'x' | b'X') => typed.quit = true,
                (true, ESCAPE) | (false, _) => typed.bytes.push(*byte),
                (true, _) => {}
            }
        }
        typed
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before
            && let Err(error) = tcsetattr(io::stdin().as_fd(), OptionalActions::Now, before)
        {
            tracing::warn!("cannot restore the terminal: {error}; type: stty sane");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_everything_is_the_guests() {
        let mut input = Terminal { before: None, escaped: false };
        assert_eq!(input.interpret(b"\x01x").bytes, b"\x01x");
    }
}
