//! Where there is no hardware-assisted KVM: all tests in emulated hosts that stay for the whole run, one for each processor
//! of this machine. Nothing is run twice: a test whose host is lost is counted as lost, apart from the failed ones.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use dimmer_lab::host::crew::{self, Crew, Lost, SEATS};
use libtest_mimic::Arguments;
use serde::{Deserialize, Serialize};

use crate::Case;

/// The argument that makes this program a worker, in a host.
pub const WORKER: &str = "--worker";

/// What a unit of a test's cost may take, on a slow machine.
const SLOW: Duration = Duration::from_secs(30);

/// What became of a test.
#[derive(Debug, Serialize, Deserialize)]
struct Result {
    /// Why it failed, if it did.
    failed: Option<String>,
    seconds: f64,
}

/// Carries out tests by their names, in a host.
pub fn work(cases: &[Case]) -> io::Result<()> {
    crew::serve(|| {
        |name: String| {
            let begun = Instant::now();
            let case = cases.iter().find(|case| case.name == name);
            let failed =
                case.map_or_else(|| Some("there is no such test".to_owned()), |case| (case.run)().err());
            Result { failed, seconds: begun.elapsed().as_secs_f64() }
        }
    })
}

/// Runs the tests that `arguments` want, says what becomes of each as soon as that is known, and sums up.
pub fn run(cases: &[Case], arguments: &Arguments) -> io::Result<ExitCode> {
    let begun = Instant::now();
    let wanted: Vec<_> = cases.iter().filter(|case| is_named(case, arguments)).collect();
    let (runs, ignored): (Vec<&Case>, Vec<&Case>) = wanted.iter().partition(|case| is_run(case, arguments));
    let hosts = thread::available_parallelism().map_or(1, usize::from).min(runs.len().div_ceil(SEATS).max(1));
    println!("\nrunning {} tests, {SEATS} at a time in each of {hosts} emulated hosts", runs.len());
    let worker = [WORKER.into(), arguments_of_worker(arguments)];
    let longest = runs.iter().map(|case| case.cost).max().unwrap_or_default();
    let crew = Crew::new(worker, hosts, SEATS)?.with_patience(crew::PATIENCE + SLOW * longest);
    let cost = runs.iter().map(|case| case.cost).sum();
    let (ignored, filtered) = (ignored.len(), cases.len() - wanted.len());
    let mut sums = Sums { all: runs.len(), cost, ignored, filtered, ..Sums::default() };
    let names = runs.iter().map(|case| &case.name);
    crew.carry_out_all(names, |number, result| sums.add(runs[number], result, begun.elapsed()));
    Ok(sums.close(begun.elapsed()))
}

/// Whether a worker has to know ignored tests' kernels.
fn arguments_of_worker(arguments: &Arguments) -> OsString {
    let all = arguments.ignored || arguments.include_ignored;
    if all { "--include-ignored".into() } else { "--quiet".into() }
}

/// Whether the names and parts of names that were given leave a test in.
fn is_named(case: &Case, arguments: &Arguments) -> bool {
    let has = |part: &String| if arguments.exact { case.name == *part } else { case.name.contains(part) };
    arguments.filter.as_ref().is_none_or(has) && !arguments.skip.iter().any(has)
}

fn is_run(case: &Case, arguments: &Arguments) -> bool {
    arguments.include_ignored || arguments.ignored == case.is_ignored
}

/// What became of all tests.
#[derive(Debug, Default)]
struct Sums {
    /// Tests, and what all of them cost, and those that are done.
    all: usize,
    cost: u32,
    paid: u32,
    passed: usize,
    ignored: usize,
    filtered: usize,
    /// Names, and why.
    failed: Vec<(String, String)>,
    lost: Vec<(String, String)>,
}

impl Sums {
    /// Counts a test, and says what became of it and how long the rest may take.
    fn add(&mut self, case: &Case, result: std::result::Result<Result, Lost>, elapsed: Duration) {
        let name = &case.name;
        self.paid += case.cost;
        let said = match result {
            Ok(Result { failed: None, seconds }) => {
                self.passed += 1;
                format!("ok, {seconds:.1} s")
            }
            Ok(Result { failed: Some(why), seconds }) => {
                let said = format!("FAILED, {seconds:.1} s: {}", why.lines().next().unwrap_or_default());
                self.failed.push((name.clone(), why));
                said
            }
            Err(lost) => {
                self.lost.push((name.clone(), lost.to_string()));
                "LOST".to_owned()
            }
        };
        let done = self.passed + self.failed.len() + self.lost.len();
        println!("[{done}/{}] {name} ... {said}{}", self.all, self.left(elapsed));
        // Also for those who end the run before its own end.
        if let Some((_, why)) = self.failed.last().filter(|(failed, _)| failed == name) {
            println!("{why}");
        }
    }

    /// How long what is left may take, judged by what is done.
    fn left(&self, elapsed: Duration) -> String {
        let minutes = elapsed.as_secs_f64() / f64::from(self.paid) * f64::from(self.cost - self.paid) / 60.0;
        if self.paid == self.cost { String::new() } else { format!("; about {minutes:.0} min left") }
    }

    /// Says what failed and was lost, why, how to repeat it, and the sums in the last line, as test runners do. Exit
    /// status: 101 when a test failed, 2 when nothing but hosts went wrong.
    fn close(self, elapsed: Duration) -> ExitCode {
        for (title, tests) in [("failures", &self.failed), ("lost with their hosts", &self.lost)] {
            if !tests.is_empty() {
                println!("\n{title}:");
            }
            for (name, why) in tests {
                println!("\n---- {name}\n{why}");
            }
        }
        println!();
        for (word, tests) in [("FAILED", &self.failed), ("LOST", &self.lost)] {
            for (name, why) in tests {
                println!("{word} {name}: {}", why.lines().next().unwrap_or_default());
                println!("    again: cargo test -p dimmer-lab --test e2e -- --exact {name}");
            }
        }
        let word = if self.failed.is_empty() && self.lost.is_empty() { "ok" } else { "FAILED" };
        let lost = if self.lost.is_empty() { String::new() } else { format!(" {} lost;", self.lost.len()) };
        println!(
            "test result: {word}. {} passed; {} failed;{lost} {} ignored; 0 measured; {} filtered out; finished in {:.2}s",
            self.passed,
            self.failed.len(),
            self.ignored,
            self.filtered,
            elapsed.as_secs_f64()
        );
        match (self.failed.len(), self.lost.len()) {
            (0, 0) => ExitCode::SUCCESS,
            (0, _) => ExitCode::from(2),
            _ => ExitCode::from(101),
        }
    }
}
