//! How the demonstration looks: steps as they happen, pictures, tables, verdicts.

use std::io::{self, Write};
use std::time::Instant;

use super::DemoError;
use crate::expect::{Blocks, Row};
use crate::picture;

/// The first block behind boot RAM: where the picture begins.
const FIRST_PLUGGED: u64 = 48;

/// Where the demonstration is shown.
pub struct Report<'a> {
    /// Standard output, or what takes its place.
    pub out: &'a mut dyn Write,
    /// Whether there are colours.
    pub coloured: bool,
}

impl Report<'_> {
    /// A line of its own.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// The heading of a part.
    pub fn heading(&mut self, text: &str) -> io::Result<()> {
        let text = if self.coloured { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() };
        self.line(&format!("\n{text}"))
    }

    /// Does `work`, and says what it is before and how long it took afterwards.
    pub fn step<T, E>(&mut self, name: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, DemoError>
    where
        DemoError: From<E>,
    {
        write!(self.out, "  {name} ... ")?;
        self.out.flush()?;
        let started = Instant::now();
        let result = work();
        let took = started.elapsed().as_secs_f64();
        let end = if result.is_ok() { "done" } else { "FAILED" };
        self.line(&format!("{end} ({took:.1} s)"))?;
        Ok(result?)
    }

    /// The plugged blocks.
    pub fn picture(&mut self, seen: &Blocks) -> io::Result<()> {
        let drawn = picture::draw(seen, FIRST_PLUGGED, self.coloured);
        self.line(&format!("\n{drawn}"))
    }

    /// Block range, expected, seen, device.
    pub fn table(&mut self, rows: &[Row]) -> io::Result<()> {
        let line = |range: &str, expected: &str, seen: &str, device: &str| {
            format!("  {range:<12}{expected:<12}{seen:<12}{device}").trim_end().to_owned()
        };
        self.line(&line("blocks", "expected", "seen", "device"))?;
        for row in rows {
            let device = if row.device.is_empty() { "boot RAM" } else { &row.device };
            let text = line(&row.range(), &row.expected, &row.seen, device);
            self.line(&if row.is_right() { text } else { format!("{text}  <-- differs") })?;
        }
        self.line("")
    }

    /// Whether all blocks are as expected.
    pub fn verdict(&mut self, right: bool, blocks: usize) -> io::Result<()> {
        let (word, colour) = if right { ("PASS", 32) } else { ("FAIL", 31) };
        let word = if self.coloured { format!("\x1b[{colour}m{word}\x1b[0m") } else { word.to_owned() };
        self.line(&format!("  {word}: {blocks} blocks"))
    }
}
