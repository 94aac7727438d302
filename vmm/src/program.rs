//! The program `dimmer`: command line in, exit status out. The laboratory carries it too, so that
//! it always tests the machine it was built with.

use std::error::Error;
use std::io::{self, IsTerminal};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use crate::chain::chain;
use crate::cli::{Cli, Command, MergeArgs, RunArgs};
use crate::complaint::complain;
use crate::machine::End;
use crate::spec::{Source, Start};
use crate::{ctl, defect, forked, machine, snapshot};

/// It is done.
const DONE: u8 = 0;
/// Bad usage, or a host that cannot do it.
const BAD: u8 = 2;

/// Runs `dimmer` with this process's arguments.
pub fn main() -> ExitCode {
    init_log();
    let status = match Cli::parse().command {
        Command::Run(arguments) => run(*arguments).unwrap_or_else(|error| {
            complain(format_args!("dimmer: {}", chain(&*error)));
            BAD
        }),
        Command::Ctl(arguments) => ctl::run(&arguments, &mut io::stdout(), &mut io::stderr()),
        Command::Merge(arguments) => merge(&arguments),
    };
    ExitCode::from(status)
}

fn run(arguments: RunArgs) -> Result<u8, Box<dyn Error>> {
    let qmp = arguments.qmp.clone();
    let start = arguments.into_start()?;
    let is_forked = matches!(&start, Start::Restore(how) if matches!(how.source, Source::Parent(_)));
    let ready = || {
        if is_forked && let Err(error) = forked::ready() {
            tracing::warn!("nobody hears that this fork is there: {error}");
        }
    };
    let end = match catch_unwind(AssertUnwindSafe(|| machine::run(start, qmp.as_deref(), ready))) {
        // Whoever asked for it says it to who asked them.
        Ok(Err(error)) if is_forked => {
            forked::failed(&chain(&error))?;
            return Ok(BAD);
        }
        Ok(end) => end?,
        Err(panic) => End::Defect(defect::words(&*panic)),
    };
    complain(format_args!("dimmer: {end}"));
    Ok(end.status())
}

fn merge(MergeArgs { snapshot, place, onto }: &MergeArgs) -> u8 {
    match snapshot::merge(snapshot, place, onto.as_deref()) {
        Ok(()) => DONE,
        Err(error) => {
            complain(format_args!("dimmer: {}", chain(&error)));
            BAD
        }
    }
}

/// Warnings go to standard error; `DIMMER_LOG=debug` asks for more.
fn init_log() {
    let asked = std::env::var("DIMMER_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let filter = asked.unwrap_or_else(|| Targets::new().with_default(tracing::Level::WARN));
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .without_time();
    // A second call in one process keeps the first log.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
}
