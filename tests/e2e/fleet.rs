//! Where there is no hardware-assisted KVM: each file's tests in an emulated host of their own, as many hosts at a time as
//! this machine has processors for. A host that is lost takes one file with it, not all.
//!
//! A host has two processors: of 20 hosts with one, one went idle for good in the middle of its tests (QEMU 7.2), as if a
//! timer's interrupt had been lost.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, ExitCode, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use std::{env, io, thread};

use dimmer_lab::host;
use libtest_mimic::{Arguments, Trial};

/// Processors of a host.
const CPUS: usize = 2;

/// Seconds that a file may take in its host, several times what the longest one takes, and with all its ignored tests. A
/// host that goes idle for good is started once more then.
const SECONDS: u64 = 20 * 60;
const SECONDS_WITH_ALL: u64 = 90 * 60;

/// What is said of a test that failed because this host loses guests, before its name.
const LOST: &str = "this host loses guests, and with them: ";

/// What is said of one whose guest was alive and did not finish a change.
const NEVER_FINISHED: &str = "a change never ended in: ";

/// Whether this host lost a guest.
static IS_SICK: AtomicBool = AtomicBool::new(false);

/// Says that `test` lost its guest in this host, in which no other test begins any more. Where nothing else failed, the
/// file's tests run once more, in another host.
pub fn guest_lost(test: &str) {
    IS_SICK.store(true, Ordering::Relaxed);
    eprintln!("{LOST}{test}");
}

/// Says that `test` failed because a living guest did not finish a change, which is the host's fault only where guests are
/// lost in it, too.
pub fn never_finished(test: &str) {
    eprintln!("{NEVER_FINISHED}{test}");
}

/// Fails `test` where this host is one that loses guests.
pub fn check_host(test: &str) -> Result<(), String> {
    if IS_SICK.load(Ordering::Relaxed) {
        guest_lost(test);
        return Err("not run, since this host loses guests".to_owned());
    }
    Ok(())
}

/// Runs all tests and prints what each file's said, then the sums.
pub fn run(trials: &[Trial], arguments: &Arguments) -> ExitCode {
    let started = Instant::now();
    let all = arguments.ignored || arguments.include_ignored;
    let seconds = if all { SECONDS_WITH_ALL } else { SECONDS };
    let files =
        files(trials, |trial| arguments.include_ignored || arguments.ignored == trial.has_ignored_flag());
    let elsewhere = |trial: &&Trial| file(trial).is_some_and(|file| !files.iter().any(|other| other == file));
    let sums = Sums { ignored: trials.iter().filter(elsewhere).count() as u64, ..Sums::default() };
    let (queue, sums) = (Mutex::new(files), Mutex::new(sums));
    let jobs = thread::available_parallelism().map_or(1, |processors| usize::from(processors).div_ceil(CPUS));
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(file) = next(&queue) {
                    let mut output = in_a_host(&file, seconds);
                    if let Ok(sick) = &output
                        && is_from_a_sick_host(sick)
                    {
                        show(sick);
                        eprintln!("{file}: that host loses guests, and these tests run once more in another");
                        output = in_a_host(&file, seconds);
                    }
                    sums.lock().expect("no thread panics with the sums").add(&file, output);
                }
            });
        }
    });
    let sums = sums.into_inner().expect("no thread panics with the sums");
    println!("{} finished in {:.2}s", sums.line(), started.elapsed().as_secs_f64());
    if sums.lost.is_empty() && sums.failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(101) }
}

/// Whether a host lost guests, and all tests that failed in it lost theirs or had one that did not finish a change.
fn is_from_a_sick_host(output: &Output) -> bool {
    let text = String::from_utf8_lossy(&output.stderr);
    let number = |words| text.lines().filter(|line| line.contains(words)).count() as u64;
    let (lost, late) = (number(LOST), number(NEVER_FINISHED));
    lost > 0 && result(output).is_some_and(|line| count(&line, "failed") == lost + late)
}

/// Prints what the tests of a host said.
fn show(output: &Output) {
    // Both fail only when nobody listens any more.
    let _ = io::stderr().write_all(&output.stderr);
    let _ = io::stdout().write_all(&output.stdout);
}

/// The line in which a test runner sums up.
fn result(output: &Output) -> Option<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().rev().find(|line| line.starts_with("test result:")).map(str::to_owned)
}

/// The file of a test.
fn file(trial: &Trial) -> Option<&str> {
    trial.name().split("::").nth(1)
}

/// The files with tests that run, those with the fewest first.
fn files(trials: &[Trial], runs: impl Fn(&Trial) -> bool) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for file in trials.iter().filter(|trial| runs(trial)).filter_map(file) {
        *counts.entry(file).or_default() += 1;
    }
    let mut files: Vec<_> = counts.into_iter().collect();
    files.sort_by_key(|(_, count)| *count);
    files.into_iter().map(|(file, _)| file.to_owned()).collect()
}

/// The file with the most tests of those that are left.
fn next(queue: &Mutex<Vec<String>>) -> Option<String> {
    queue.lock().expect("no thread panics with the queue").pop()
}

/// This program again, with one file's tests, for so many seconds at most.
fn in_a_host(file: &str, seconds: u64) -> io::Result<Output> {
    let mut command = Command::new(env::current_exe()?);
    command.args(env::args_os().skip(1)).arg(format!("::{file}::")).env(host::CPUS, CPUS.to_string());
    command.env(host::SECONDS, seconds.to_string());
    command.output()
}

/// Tests of all files.
#[derive(Debug, Default)]
struct Sums {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Files whose tests did not come to an end.
    lost: Vec<String>,
}

impl Sums {
    /// Prints what a file's tests said, and counts them.
    fn add(&mut self, file: &str, output: io::Result<Output>) {
        let output = match output {
            Ok(output) => output,
            Err(error) => {
                eprintln!("end-to-end tests: {file}: {error}");
                return self.lost.push(file.to_owned());
            }
        };
        show(&output);
        let Some(result) = result(&output) else {
            return self.lost.push(file.to_owned());
        };
        self.passed += count(&result, "passed");
        self.failed += count(&result, "failed");
        self.ignored += count(&result, "ignored");
    }

    /// As a test runner's last line says it.
    fn line(&self) -> String {
        let word = if self.lost.is_empty() && self.failed == 0 { "ok" } else { "FAILED" };
        let counts = format!("{} passed; {} failed; {} ignored;", self.passed, self.failed, self.ignored);
        let lost = match &self.lost[..] {
            [] => String::new(),
            lost => format!(" files without a result: {};", lost.join(", ")),
        };
        format!("test result: {word}. {counts}{lost}")
    }
}

/// The number in front of `what` in a test runner's last line.
fn count(result: &str, what: &str) -> u64 {
    let words: Vec<&str> = result.split([' ', ';']).filter(|word| !word.is_empty()).collect();
    let at = words.iter().position(|word| *word == what);
    at.and_then(|at| words.get(at.checked_sub(1)?)?.parse().ok()).unwrap_or(0)
}
