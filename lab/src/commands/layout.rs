//! `dimmer-lab layout`: the guest's memory layout, as text or as JSON.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::devices::Devices;
use crate::guest::Guest;
use crate::layout::text;
use crate::rest::Rest;
use clap::Args;
use dimmer::ctl::client::Method;

use super::guest::{Timeout, verdict};
use crate::output::{complain, stdout};

/// `dimmer-lab layout`
#[derive(Debug, Args)]
pub struct Layout {
    /// The machine's agent socket, as given to `dimmer run --agent-socket`.
    #[arg(long, value_name = "PATH")]
    agent_socket: PathBuf,
    /// The machine's API socket, as given to `dimmer run --api-socket`: names each block's device, and warns of devices
    /// whose blocks are missing.
    #[arg(long, value_name = "PATH")]
    api_socket: Option<PathBuf>,
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
        let mut layout = match layout {
            Ok(layout) => layout,
            Err(error) => return verdict(error),
        };
        if let Err(error) = guest.add_groups(&mut layout) {
            return verdict(error);
        }
        let devices = self.devices()?;
        let mut output = stdout();
        if self.json {
            serde_json::to_writer(&mut output, &layout)?;
            writeln!(output)?;
        } else {
            output.write_all(text(&layout, &devices).as_bytes())?;
            if let Some(reason) = &layout.groups_unknown {
                complain(format_args!("memory groups are not known: {reason}"));
            }
            for reason in &layout.pending {
                complain(format_args!("still changing: {reason}"));
            }
        }
        output.flush()?;
        for doubt in devices.doubts(&layout) {
            complain(format_args!("dimmer-lab: {doubt}"));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// What the machine says of its devices, if it can be asked.
    fn devices(&self) -> Result<Devices, Box<dyn Error>> {
        let Some(socket) = &self.api_socket else { return Ok(Devices::default()) };
        let devices = Rest::new(socket)?.tell(Method::GET, "/memory-devices", None)?;
        Ok(Devices::read(&devices))
    }
}
