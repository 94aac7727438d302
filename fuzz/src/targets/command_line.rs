//! The arguments of `dimmer`, one a line.

use std::path::PathBuf;

use clap::Parser;
use dimmer::cli::{Cli, Command};
use dimmer::spec::{MachineSpec, Start};

pub fn arguments(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(cli) = Cli::try_parse_from(std::iter::once("dimmer").chain(text.lines())) else { return };
    let Command::Run(arguments) = cli.command else { return };
    let spec = match arguments.into_start() {
        Ok(Start::Boot(spec)) => spec,
        Ok(Start::Restore(_)) => return,
        Err(error) => return assert!(!error.to_string().is_empty(), "a refusal without words"),
    };
    let written = serde_json::to_string(&spec).expect("a machine is plain data");
    let read: MachineSpec = serde_json::from_str(&written).expect("what was written is read");
    assert_eq!(serde_json::to_string(&read).expect("a machine is plain data"), written);
    read.check().expect("a machine that was taken is one that can be");
    assert_ne!(read.kernel, PathBuf::new());
}
