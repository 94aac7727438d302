//! `dimmer-fuzz`: builds the engine and runs targets for some minutes each, all of them unless some are named.
//!
//! What reaches new code is kept below `target/fuzz/corpus`; `--keep` puts a small set that reaches as much into `fuzz/corpus`,
//! which `cargo test` runs. Ends with 1 when an input broke a rule; the last lines name it and the command that repeats it.
//! It ends with 2 when it could not run.

mod compile;
mod report;
mod run;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use clap::Parser;
use dimmer_fuzz::{TARGETS, Target};
use run::{Outcome, Runner};

/// Whatever can go wrong here is told to a person.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// Runs fuzz targets: what a guest, a client or a file may say, at random, each with an oracle of its own.
#[derive(Debug, Parser)]
#[command(name = "dimmer-fuzz")]
struct Arguments {
    /// The targets; all when none is named
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Minutes for each
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    minutes: f64,
    /// How many run at once; as many as there are processors when not given
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Put a small set of inputs that reaches all that was reached into `fuzz/corpus`
    #[arg(long)]
    keep: bool,
    /// Run one target with this input alone, to repeat what it did
    #[arg(long, value_name = "FILE", conflicts_with_all = ["keep", "minutes"])]
    input: Option<PathBuf>,
    /// Print the names of all targets and what they are about
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    run_all(Arguments::parse()).unwrap_or_else(|error| {
        eprintln!("dimmer-fuzz: {error}");
        ExitCode::from(2)
    })
}

fn run_all(arguments: Arguments) -> Result<ExitCode, Error> {
    let targets = chosen(&arguments.targets)?;
    if arguments.list {
        targets.iter().for_each(|target| println!("{:18} {}", target.name, target.about));
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(input) = arguments.input {
        let [target] = targets[..] else { return Err("--input takes exactly one target".into()) };
        let bytes =
            std::fs::read(&input).map_err(|error| format!("cannot read {}: {error}", input.display()))?;
        (target.run)(&bytes);
        println!("{} takes it", target.name);
        return Ok(ExitCode::SUCCESS);
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the workspace is not there")?;
    let time = Duration::try_from_secs_f64(arguments.minutes * 60.0)?;
    let runner = Runner { engine: compile::engine(workspace)?, workspace: workspace.to_owned(), time };
    let jobs = arguments.jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let outcomes = all(&runner, &targets, jobs.max(1), arguments.keep)?;
    print!("{}", report::table(&outcomes));
    Ok(if outcomes.iter().any(|(_, outcome)| outcome.broken.is_some()) { 1 } else { 0 }.into())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Target>, Error> {
    if names.is_empty() {
        return Ok(TARGETS.iter().collect());
    }
    let find = |name: &String| {
        let known = || TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
        let found = TARGETS.iter().find(|target| target.name == name);
        found.ok_or_else(|| format!("there is no target {name:?}; there are {}", known()).into())
    };
    names.iter().map(find).collect()
}

/// Runs `targets`, so many at once; the outcomes in their order.
fn all(
    runner: &Runner,
    targets: &[&'static Target],
    jobs: usize,
    keep: bool,
) -> Result<Vec<(&'static Target, Outcome)>, Error> {
    let left = Mutex::new(targets.iter().enumerate());
    let work = || {
        let mut done = Vec::new();
        loop {
            let next = left.lock().map_err(|_| "another job failed")?.next();
            let Some((number, target)) = next else { return Ok(done) };
            let outcome = runner.run(target)?;
            eprintln!("{}: {} executions", target.name, outcome.executions);
            if keep {
                runner.keep(target)?;
            }
            done.push((number, *target, outcome));
        }
    };
    let done = thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        let all = threads.into_iter().map(|thread| thread.join().map_err(|_| "a job panicked")?);
        all.collect::<Result<Vec<Vec<_>>, Error>>()
    })?;
    let mut done: Vec<_> = done.into_iter().flatten().collect();
    done.sort_unstable_by_key(|(number, ..)| *number);
    Ok(done.into_iter().map(|(_, target, outcome)| (target, outcome)).collect())
}
