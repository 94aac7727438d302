//! Many runs: each is made from the seed, carried out, and shrunk when it shows a difference.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dimmer_oracle::release::Release;

use super::history::{FAMILY, Rules, scenario};
use super::hunt::Found;
use super::record::{Record, Run};
use super::shrink::shrink;
use super::worker::Answer;
use crate::scenario::Scenario;

/// Candidates that are carried out to shrink one scenario, at most.
const ATTEMPTS: usize = 120;

/// What is to be explored.
#[derive(Debug)]
pub struct Campaign {
    /// The seed.
    pub seed: u64,
    /// The runs, by number.
    pub runs: std::ops::Range<u64>,
    /// The kernels' names, with their releases.
    pub kernels: Vec<(String, Release)>,
    /// Whether steps that Linux may end in more than one way are kept out.
    pub only_exact: bool,
    /// How many runs are carried out at a time.
    pub jobs: usize,
    /// After this time no further run begins.
    pub budget: Option<Duration>,
    /// Where scenarios that show a difference are written.
    pub directory: PathBuf,
}

/// Runs on one machine, which one guest can serve.
#[derive(Debug)]
struct Family {
    runs: std::ops::Range<u64>,
    kernel: String,
    release: Release,
}

impl Campaign {
    /// Carries out all runs, each on every kernel, with `carry_out`; says on standard output what comes of
    /// each.
    ///
    /// # Errors
    /// When the record or a scenario cannot be written.
    pub fn run(
        &self,
        record: Record,
        carry_out: impl Fn(usize, &str, &Scenario) -> Answer + Sync,
    ) -> io::Result<Record> {
        let begun = Instant::now();
        let families = Mutex::new(self.families());
        let record = Mutex::new(record);
        let next = || lock(&families).pop_front();
        let in_time = || self.budget.is_none_or(|budget| begun.elapsed() < budget);
        let work = |seat| {
            while let Some(Family { runs, kernel, release }) = next() {
                for run in runs.take_while(|_| in_time()) {
                    let carry_out = |scenario: &Scenario| carry_out(seat, &kernel, scenario);
                    self.one(run, &kernel, release, &record, &carry_out)?;
                }
            }
            io::Result::Ok(())
        };
        std::thread::scope(|scope| {
            let work = &work;
            let seats: Vec<_> = (0..self.jobs).map(|seat| scope.spawn(move || work(seat))).collect();
            let panicked = |_| Err(io::Error::other("a run panicked"));
            seats.into_iter().try_for_each(|seat| seat.join().unwrap_or_else(panicked))
        })?;
        Ok(record.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// All runs, each with its kernel's name.
    pub fn scenarios(&self) -> impl Iterator<Item = (&str, Scenario)> {
        let all = self.runs.clone().flat_map(|run| self.kernels.iter().map(move |kernel| (run, kernel)));
        all.map(|(run, (kernel, release))| {
            let rules = Rules { release: *release, only_exact: self.only_exact };
            (kernel.as_str(), scenario(self.seed, run, rules))
        })
    }

    /// The runs that have their machine in common, on each kernel.
    fn families(&self) -> VecDeque<Family> {
        let (start, end) = (self.runs.start, self.runs.end);
        let firsts = (start / FAMILY..end.div_ceil(FAMILY)).map(|family| family * FAMILY);
        let runs = firsts.map(|first| first.max(start)..(first + FAMILY).min(end));
        let with = |runs: std::ops::Range<u64>| {
            self.kernels.iter().map(move |(kernel, release)| Family {
                runs: runs.clone(),
                kernel: kernel.clone(),
                release: *release,
            })
        };
        runs.flat_map(with).collect()
    }

    fn one(
        &self,
        run: u64,
        kernel: &str,
        release: Release,
        record: &Mutex<Record>,
        carry_out: &impl Fn(&Scenario) -> Answer,
    ) -> io::Result<()> {
        let rules = Rules { release, only_exact: self.only_exact };
        let scenario = scenario(self.seed, run, rules);
        let name = format!("run {run} on {kernel}");
        let Answer { found, times } = carry_out(&scenario);
        lock(record).add(&Run::new(self.seed, run, kernel, &scenario, found.clone(), times))?;
        let seconds = times.total().as_secs_f64();
        match &found {
            Found::Nothing { blocks } => {
                println!(
                    "{name}: {} steps as the oracle says, {blocks} block checks, {seconds:.1} s",
                    scenario.steps.len()
                );
            }
            Found::Lost { why } => println!("{name}: the guest was lost: {why}"),
            Found::Difference { step, lines } => {
                println!(
                    "{name}: a difference after step {step} of {}{}",
                    scenario.steps.len(),
                    indented(lines)
                );
                let file = self.shrunk(run, kernel, scenario, &found, rules, carry_out)?;
                println!("{name}: repeat it with: dimmer-lab check {} --kernel {kernel}", file.display());
            }
        }
        Ok(())
    }

    /// Shrinks a scenario that shows a difference, and writes it to a file. Only candidates count that show something of
    /// the same kind: another difference would be another finding.
    fn shrunk(
        &self,
        run: u64,
        kernel: &str,
        scenario: Scenario,
        found: &Found,
        rules: Rules,
        carry_out: &impl Fn(&Scenario) -> Answer,
    ) -> io::Result<PathBuf> {
        // A kernel may be a path.
        let on = kernel.rsplit('/').next().unwrap_or(kernel);
        let file = self.directory.join(format!("explore-{}-{run}-{on}.toml", self.seed));
        write(&file, &scenario, kernel)?;
        let (step, kinds) = (found.step().unwrap_or(scenario.steps.len()), found.kinds());
        let mut last = Vec::new();
        let shrunk = shrink(scenario, step, rules, ATTEMPTS, |candidate| {
            let again = carry_out(candidate).found;
            if again.kinds().is_disjoint(&kinds) {
                return None;
            }
            let Found::Difference { step, lines } = again else { return None };
            println!("run {run} on {kernel}: {} steps still differ", candidate.steps.len().min(step));
            last = lines;
            Some(step)
        });
        write(&file, &shrunk.scenario, kernel)?;
        println!(
            "run {run} on {kernel}: {} steps are left after {} attempts{}\n{}",
            shrunk.scenario.steps.len(),
            shrunk.attempts,
            indented(&last),
            shrunk.scenario.to_toml()
        );
        Ok(file)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(file: &Path, scenario: &Scenario, kernel: &str) -> io::Result<()> {
    std::fs::write(file, format!("# Found on {kernel}.\n{}", scenario.to_toml()))
}

fn indented(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n  {line}")).collect()
}
