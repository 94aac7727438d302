//! The program `dimmer-lab`, the laboratory: command line in, exit status out. One subcommand per file in `commands/`.
//!
//! Exit status, for every subcommand: 0 done, 1 an expectation failed or the guest refused, 2 bad usage or a bad host.
//! `host`, `run` and `guest exec` pass on the status of the command they ran. That nobody reads what is printed changes no status,
//! but for what ends early then, with 2: the demo, the explorer, and the soak test.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dimmer::version::VERSION;

use crate::commands;
use crate::output::{complain, is_closed};

/// Runs unmodified Linux guests under Dimmer and checks what their kernels did with every memory block.
#[derive(Debug, Parser)]
#[command(name = "dimmer-lab", version = VERSION, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure Dimmer and other machine monitors side by side.
    Bench(commands::bench::Bench),
    /// Run scenarios on real guests, and say where these differ from the oracle or from what is expected.
    Check(commands::check::Check),
    /// Print what a shell needs to complete these command lines.
    Completions(commands::completions::Completions),
    /// Show an unmodified kernel reproduce the layouts that memory groups promised, block by block.
    Demo(commands::demo::Demo),
    /// Say what this host is, what is missing, and the command that fixes it.
    Doctor(commands::doctor::Doctor),
    /// Say by which rule and which numbers a memory block of a scenario is where it is, without a machine.
    Explain(commands::explain::Explain),
    /// Hunt for a memory block that is not where the oracle says.
    Explore(commands::explore::Explore),
    /// Ask the agent in a guest to do something.
    Guest(commands::guest::Guest),
    /// Run a command on a host with hardware-assisted KVM: here if this is one, else inside the emulated host.
    Host(commands::host::Host),
    /// Fetch, list and locate kernels and the initramfs.
    Images(commands::images::Images),
    /// Print a guest's memory layout.
    Layout(commands::layout::Layout),
    /// Write manual pages.
    Man(commands::man::Man),
    /// Show a guest's memory on the terminal, live, with keys to plug, resize, eject, and put blocks on- and offline.
    Map(commands::map::Map),
    /// Write the playground of `serve` as one file that needs no server.
    Playground(commands::playground::Playground),
    /// Say what Linux will do with every memory block of a scenario, without a machine.
    Predict(commands::predict::Predict),
    /// Write the pages of reference that are made of the programs themselves.
    Reference(commands::reference::Reference),
    /// Boot a distribution, for a shell or for one command.
    Run(commands::run::Run),
    /// Show the format of scenarios, list the library, and validate files.
    Scenario(commands::scenario::Command),
    /// Run the kernel's own selftests of memory and processors that come and go in a guest.
    Selftest(commands::selftest::Selftest),
    /// Show machines as a page in a browser, live, with buttons; and a playground that says what Linux would do.
    Serve(commands::serve::Serve),
    #[command(hide = true)]
    Answer(commands::serve::Answer),
    /// Boot many guests and put them under stress, to see whether hosts lose any.
    Soak(commands::soak::Soak),
}

/// Runs `dimmer-lab` with this process's arguments; or `dimmer`, where it was started by that name.
pub fn main() -> ExitCode {
    if let Some(status) = crate::vm::as_dimmer() {
        return status;
    }
    let result = match Arguments::parse().command {
        Command::Bench(bench) => bench.run(),
        Command::Check(check) => check.run(),
        Command::Completions(completions) => completions.run(),
        Command::Demo(demo) => demo.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Explain(explain) => explain.run(),
        Command::Explore(explore) => explore.run(),
        Command::Guest(guest) => guest.run(),
        Command::Host(host) => host.run(),
        Command::Images(images) => images.run(),
        Command::Layout(layout) => layout.run(),
        Command::Man(man) => man.run(),
        Command::Map(map) => map.run(),
        Command::Playground(playground) => playground.run(),
        Command::Predict(predict) => predict.run(),
        Command::Reference(reference) => reference.run(),
        Command::Run(run) => run.run(),
        Command::Scenario(scenario) => scenario.run(),
        Command::Selftest(selftest) => selftest.run(),
        Command::Serve(serve) => serve.run(),
        Command::Answer(answer) => answer.run(),
        Command::Soak(soak) => soak.run(),
    };
    result.unwrap_or_else(|error| {
        if is_closed() {
            return commands::UNREAD.into();
        }
        complain(format_args!("dimmer-lab: {}", crate::chain(error.as_ref())));
        ExitCode::from(2)
    })
}
