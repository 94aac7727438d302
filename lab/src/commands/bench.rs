//! `dimmer-lab bench`: Dimmer and other machine monitors, measured side by side.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use crate::bench::measure::{self, Measure, Run};
use crate::bench::peer::{self, Kind, Program, Wanted};
use crate::bench::report::{Entry, Format, Results};
use crate::bench::worker::Worker;
use crate::bench::{Outcome, Task};
use crate::host;
use crate::host::crew::{self, Crew};
use crate::output::{complain, stdout};
use clap::Args;
use dimmer_images::{Cache, Kernel, fetch};

/// Measures Dimmer and every other monitor found in the same host, one after the other in each round, and says which is
/// better where the rounds say so.
#[derive(Debug, Args)]
pub struct Bench {
    /// Only these beside Dimmer: qemu, qemu-microvm, cloud-hypervisor, firecracker, with =PATH where the program is; or
    /// dimmer-before=PATH, a Dimmer of another day
    #[arg(long, value_name = "NAME[=PATH]")]
    peer: Vec<Wanted>,
    /// How often everything is measured; no winner is named with fewer than five
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Only these measures
    #[arg(long, value_name = "NAME", num_args = 1.., value_parser = measures())]
    only: Vec<String>,
    /// Where Dimmer is, if not beside this program
    #[arg(long, value_name = "PATH")]
    dimmer: Option<PathBuf>,
    /// How the report is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Write the report of an earlier run, what it wrote with --format json, and measure nothing
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Name of a kernel, or the path of one (`PATH[,modules=DIR]`)
    #[arg(long, value_name = "KERNEL", default_value = "6.12")]
    kernel: String,
    /// Carry out tasks from standard input: the part that runs on the host with KVM
    #[arg(long, hide = true)]
    worker: bool,
}

fn measures() -> clap::builder::PossibleValuesParser {
    measure::ALL.map(|measure| clap::builder::PossibleValue::new(measure.name)).into()
}

impl Bench {
    /// See [`Bench`].
    ///
    /// # Errors
    /// When there is no kernel or no Dimmer, or this program cannot start itself.
    pub fn run(&self) -> super::Result {
        if let Some(path) = &self.from {
            write!(stdout(), "{}", Results::read(path)?.write(self.format)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        let cache = Cache::open()?;
        let kernels = fetch(&cache, &[&self.kernel], false)?;
        dimmer_images::initramfs(&kernels[0])?;
        if self.worker {
            return Self::work(&kernels[0]);
        }
        let mut results = Results { machine: machine(&kernels[0], self.rounds), ..Results::default() };
        results.programs.push(Program::find(&cache, Kind::Dimmer, self.dimmer.as_deref())?);
        for Wanted { kind, path } in self.peers() {
            match Program::find(&cache, kind, path.as_deref()) {
                Ok(program) => results.programs.push(program),
                Err(error) => results.absent.push((kind, crate::chain(&*error))),
            }
        }
        let arguments = ["bench", "--worker", "--kernel", &self.kernel].map(Into::into);
        let crew = Crew::new(arguments, 1, 1)?;
        let begun = Instant::now();
        for round in 1..=self.rounds {
            self.round(round, &crew, &mut results);
            let minutes = begun.elapsed().as_secs_f64() / 60.0;
            complain(format_args!("{round} of {} rounds, {minutes:.1} minutes", self.rounds));
        }
        write!(stdout(), "{}", results.write(self.format)?)?;
        let failed = results.entries.iter().any(|entry| matches!(entry.outcome, Outcome::Failed(_)));
        Ok(ExitCode::from(u8::from(failed)))
    }

    fn work(kernel: &Kernel) -> super::Result {
        crew::serve(|| {
            let mut worker = Worker::new(kernel).map_err(|error| crate::chain(&*error));
            move |task: Task| match &mut worker {
                Ok(worker) => worker.carry_out(&task),
                Err(why) => Outcome::Failed(why.clone()),
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn peers(&self) -> Vec<Wanted> {
        if self.peer.is_empty() {
            let found = peer::PEERS.into_iter().filter(|&kind| kind != Kind::DimmerBefore);
            return found.map(|kind| Wanted { kind, path: None }).collect();
        }
        self.peer.clone()
    }

    /// Measures everything once. The program that begins is another one in each round.
    fn round(&self, round: usize, crew: &Crew, results: &mut Results) {
        let wanted =
            |measure: &&&Measure| self.only.is_empty() || self.only.iter().any(|name| name == measure.name);
        let due = |measure: &&&Measure| round <= measure.most;
        for measure in measure::ALL.iter().filter(wanted).filter(due) {
            let mut programs = results.programs.clone();
            programs.retain(|program| measure.run.is_for(program.kind));
            let first = round % programs.len();
            programs.rotate_left(first);
            for program in programs {
                let kind = program.kind;
                let outcome = carry_out(measure, program, crew);
                let shown = shown(measure, &outcome);
                complain(format_args!("round {round}, {}, {kind}: {shown}", measure.name));
                results.entries.push(Entry { measure: measure.name.into(), kind, round, outcome });
            }
        }
    }
}

fn carry_out(measure: &Measure, program: Program, crew: &Crew) -> Outcome {
    match measure.run {
        Run::Here(run) => run().into(),
        Run::Machines(_) | Run::Dimmer(_) => {
            let task = Task { measure: measure.name.into(), program };
            crew.carry_out(0, &task).unwrap_or_else(|lost| Outcome::Failed(lost.to_string()))
        }
    }
}

/// An outcome in a line.
fn shown(measure: &Measure, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Cannot(why) | Outcome::Failed(why) => why.clone(),
        Outcome::Values(values) => {
            let value = |(column, value): (&measure::Column, &Option<f64>)| {
                value.map(|value| format!("{} {value:.1} {}", column.name, column.unit.text()))
            };
            measure.columns.iter().zip(values).filter_map(value).collect::<Vec<_>>().join(", ")
        }
    }
}

/// What it is measured on.
fn machine(kernel: &Kernel, rounds: usize) -> Vec<(String, String)> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown");
    let host = match host::needs_emulation() {
        true => "emulated (docs/hosts.md): one processor and 6 GiB, QEMU without acceleration",
        false => "this machine",
    };
    let build = if cfg!(debug_assertions) { "not optimized: a debug build" } else { "release" };
    let rounds = rounds.to_string();
    let facts = [
        ("processor", model),
        ("host", host),
        ("build", build),
        ("guest's kernel", &kernel.release),
        ("rounds", &rounds),
    ];
    facts.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}
