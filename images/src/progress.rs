//! What people are told on standard error while something takes its time.

use std::fmt::Arguments;
use std::io::{self, Write};

/// Writes a line to standard error, if that takes it.
pub fn say(words: Arguments<'_>) {
    // A pipe that is closed is no reason to end.
    let _ = writeln!(io::stderr().lock(), "{words}");
}
