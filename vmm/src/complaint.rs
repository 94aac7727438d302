//! What goes to people on standard error, where somebody may read it or not: a pipe that is closed is no reason to end.

use std::fmt::Arguments;
use std::io::{self, Write};

/// Writes a line to standard error, if that takes it.
pub fn complain(words: Arguments<'_>) {
    // Without a place for complaints the exit status has to do.
    let _ = writeln!(io::stderr().lock(), "{words}");
}
