//! `dimmer-lab layout`: the guest's memory layout, as text or as JSON.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use dimmer_lab::guest::Guest;
use dimmer_lab::layout::{GroupNames, text};

use super::guest::{Timeout, verdict};

/// `dimmer-lab layout`
#[derive(Debug, Args)]
pub struct Layout {
    /// The machine's agent socket, as given to `dimmer run --agent-socket`.
    #[arg(long, value_name = "PATH")]
    agent_socket: PathBuf,
    /// Print the whole report as one line of JSON.
    #[arg(long)]
    json: bool,
    /// Wait until two reports in a row agree and nothing is under way.
    #[arg(long)]
    settled: bool,
    #[command(flatten)]
    timeout: Timeout,
}

impl Layout {
    /// Prints the layout; exit status 1 when the guest does not settle or answer in time.
    pub fn run(&self) -> super::Result {
        let mut guest = Guest::connect(&self.agent_socket, self.timeout.duration())?;
        guest.set_patience(self.timeout.duration());
        let layout = match self.settled {
            true => guest.settled(self.timeout.duration()),
            false => guest.layout(),
        };
        let layout = match layout {
            Ok(layout) => layout,
            Err(error) => return verdict(error),
        };
        let mut output = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut output, &layout)?;
            writeln!(output)?;
        } else {
            output.write_all(text(&layout, &GroupNames::new()).as_bytes())?;
            for reason in &layout.pending {
                eprintln!("still changing: {reason}");
            }
        }
        output.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}
