//! `dimmer-lab doctor`: what this host is and what it lacks.

use crate::host::doctor;
use crate::output::stdout;
use clap::Args;
use std::io::Write;

/// Says what this host is, what is missing, and the exact command that fixes it. Ends with 0 when all is there, else 2.
#[derive(Debug, Args)]
pub struct Doctor {}

impl Doctor {
    /// Prints the report on standard output.
    ///
    /// # Errors
    /// None: what goes wrong is part of the report.
    pub fn run(&self) -> super::Result {
        let report = doctor::examine();
        write!(stdout(), "{report}")?;
        Ok(if report.is_fine() { 0 } else { 2 }.into())
    }
}
