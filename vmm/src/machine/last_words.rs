//! What the guest said last on its console, for the event that says that its kernel panicked. Whoever may write to the console can
//! have said it.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use dimmer_devices::bus::lock;

use crate::printable::printable;

/// Bytes that are remembered, and lines that are told: what Linux says of a panic is in front of some forty lines of registers
/// and calls.
const MOST: usize = 8192;
const LINES: usize = 80;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct LastWords(Arc<Mutex<VecDeque<u8>>>);

impl LastWords {
    /// Passes everything on to `output`, and remembers the last of it.
    pub fn of<W: Write>(&self, output: W) -> Remembering<W> {
        Remembering { output, words: self.clone() }
    }

    /// The last lines, with what is not printable escaped.
    pub fn lines(&self) -> Vec<String> {
        let bytes: Vec<_> = lock(&self.0).iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
        let lines: Vec<_> = lines.map(|line| printable(line).to_string()).collect();
        lines[lines.len().saturating_sub(LINES)..].to_vec()
    }
}

/// A writer that remembers.
#[derive(Debug)]
pub struct Remembering<W> {
    output: W,
    words: LastWords,
}

impl<W: Write> Write for Remembering<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.output.write(bytes)?;
        let mut words = lock(&self.words.0);
        words.extend(&bytes[..written]);
        let old = words.len().saturating_sub(MOST);
        words.drain(..old);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_told_and_no_more_are_kept() {
        let words = LastWords::default();
        assert_eq!(words.lines(), Vec::<String>::new());
        let mut output = words.of(Vec::new());
        for number in 0..5000 {
            writeln!(output, "line {number}\r").unwrap();
        }
        write!(output, "\n\x1b[2Jno end").unwrap();
        assert_eq!(lock(&words.0).len(), MOST);
        let lines = words.lines();
        assert_eq!((lines.len(), lines[0].as_str()), (LINES, "line 4921"));
        assert_eq!(lines.last().map(String::as_str), Some("\\u{1b}[2Jno end"));
        assert!(output.output.starts_with(b"line 0\r\n") && output.output.ends_with(b"no end"));
    }
}
