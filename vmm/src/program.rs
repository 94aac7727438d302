//! The program `dimmer`: command line in, exit status out. The laboratory carries it too, so that
//! it always tests the machine it was built with.

use std::error::Error;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches};
use sd_notify::NotifyState;

use crate::chain::chain;
use crate::cli::{Cli, Command, LogFormat, MergeArgs, RunArgs};
use crate::complaint::complain;
use crate::machine::{End, Own};
use crate::spec::{Source, Start};
use crate::{cli, ctl, defect, forked, log, machine, snapshot};

/// It is done.
const DONE: u8 = 0;
/// Bad usage, or a host that cannot do it.
const BAD: u8 = 2;

/// Runs `dimmer` with this process's arguments.
pub fn main() -> ExitCode {
    let command = Cli::command();
    let run = command.find_subcommand("run").expect("there is one").clone();
    let words = match cli::expanded(std::env::args_os().collect(), &run) {
        Ok(words) => words,
        Err(error) => {
            complain(format_args!("dimmer: {error}"));
            return ExitCode::from(BAD);
        }
    };
    let matches = command.get_matches_from(words);
    let typed = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    log::init(typed.log_format);
    let status = match typed.command {
        Command::Run(arguments) if arguments.print_config => {
            let matches = matches.subcommand_matches("run").expect("it was typed");
            said(write!(io::stdout(), "{}", cli::printed(&run, matches)))
        }
        Command::Run(arguments) => self::run(*arguments, typed.log_format).unwrap_or_else(|error| {
            complain(format_args!("dimmer: {}", chain(&*error)));
            BAD
        }),
        Command::Ctl(arguments) => ctl::run(&arguments, &mut io::stdout(), &mut io::stderr()),
        Command::Merge(arguments) => merge(&arguments),
        Command::Completions { shell } => {
            // It writes to memory, where nothing fails; a pipe may be closed.
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "dimmer", &mut text);
            said(io::stdout().write_all(&text))
        }
        Command::Man { directory } => said(clap_mangen::generate_to(Cli::command(), directory)),
    };
    ExitCode::from(status)
}

/// The exit status of what was written, or could not be; whoever reads no more has seen enough.
fn said(written: io::Result<()>) -> u8 {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(format_args!("dimmer: {error}"));
            BAD
        }
        _ => DONE,
    }
}

fn run(arguments: RunArgs, log_format: LogFormat) -> Result<u8, Box<dyn Error>> {
    let stop_timeout = Duration::from_secs(arguments.stop_timeout.into());
    let (qmp, sandbox) = (arguments.qmp.clone(), arguments.sandbox.clone().into_spec());
    let own = Own { sandbox, qmp, stop_timeout, log_format };
    let start = arguments.into_start()?;
    let is_forked = matches!(&start, Start::Restore(how) if matches!(how.source, Source::Parent(_)));
    let ready = || {
        // Who started this process waits for it: the machine that it is a fork of, or a service manager.
        let told = if is_forked { forked::ready() } else { sd_notify::notify(&[NotifyState::Ready]) };
        if let Err(error) = told {
            tracing::warn!("nobody hears that this machine is there: {error}");
        }
    };
    let end = match catch_unwind(AssertUnwindSafe(|| machine::run(start, &own, ready))) {
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
