//! Many runs: each is made from the seed, carried out, and shrunk when it shows a difference.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use dimmer_oracle::mistake::Mistake;
use dimmer_oracle::release::Release;

use super::found::Found;
use super::history::{History, Rules, TREE, history};
use super::kept::Carried;
use super::record::{Finding, Record, Run};
use super::shrink::{Candidate, shrink};
use super::worker::{Answer, Task};
use crate::output::{self, say};
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
    /// What the oracle is to get wrong.
    pub mistake: Option<Mistake>,
    /// How many runs are carried out at a time.
    pub jobs: usize,
    /// After this time no further run begins.
    pub budget: Option<Duration>,
    /// Where scenarios that show a difference are written.
    pub directory: PathBuf,
}

/// Runs with one machine and one beginning on one kernel.
#[derive(Debug, Clone)]
struct Tree {
    runs: std::ops::Range<u64>,
    kernel: String,
    release: Release,
}

/// A campaign at work.
struct Work<'a, C> {
    campaign: &'a Campaign,
    record: Mutex<Record>,
    carry_out: C,
}

impl Campaign {
    /// Carries out all runs, each on every kernel, with `carry_out`, which is told the seat; says on standard output what
    /// comes of each, and ends when nobody reads that any more.
    ///
    /// # Errors
    /// When the record or a scenario cannot be written.
    pub fn run(
        &self,
        record: Record,
        carry_out: impl Fn(usize, &Task) -> Answer + Sync,
    ) -> io::Result<Record> {
        let begun = Instant::now();
        let trees = Mutex::new(self.trees());
        let work = Work { campaign: self, record: Mutex::new(record), carry_out };
        let in_time = || !output::is_closed() && self.budget.is_none_or(|budget| begun.elapsed() < budget);
        thread::scope(|scope| {
            let (work, trees, in_time) = (&work, &trees, &in_time);
            let next = move || lock(trees).pop_front().filter(|_| in_time());
            let seat = |seat| {
                scope.spawn(move || {
                    let mut waiting = Vec::new();
                    while let Some(tree) = next() {
                        waiting.extend(work.tree(scope, seat, &tree, in_time)?);
                    }
                    waiting.into_iter().try_for_each(joined)
                })
            };
            let seats: Vec<_> = (0..self.jobs).map(seat).collect();
            seats.into_iter().try_for_each(joined)
        })?;
        Ok(work.record.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// All runs, each with its kernel's name.
    pub fn scenarios(&self) -> impl Iterator<Item = (&str, Scenario)> {
        let all = self.runs.clone().flat_map(|run| self.kernels.iter().map(move |kernel| (run, kernel)));
        all.map(|(run, (kernel, release))| {
            (kernel.as_str(), history(self.seed, run, self.rules(*release)).scenario)
        })
    }

    const fn rules(&self, release: Release) -> Rules {
        Rules { release, only_exact: self.only_exact }
    }

    /// The runs that have their beginning in common, on each kernel.
    fn trees(&self) -> VecDeque<Tree> {
        let (start, end) = (self.runs.start, self.runs.end);
        let firsts = (start / TREE..end.div_ceil(TREE)).map(|tree| tree * TREE);
        let runs = firsts.map(|first| first.max(start)..(first + TREE).min(end));
        let with = |runs: std::ops::Range<u64>| {
            self.kernels.iter().map(move |(kernel, release)| Tree {
                runs: runs.clone(),
                kernel: kernel.clone(),
                release: *release,
            })
        };
        runs.flat_map(with).collect()
    }
}

type Waiting<'scope> = ScopedJoinHandle<'scope, io::Result<()>>;

impl<C: Fn(usize, &Task) -> Answer + Sync> Work<'_, C> {
    /// Carries out the runs of one tree. Those that wait for a timer do so while the others go on; they are returned.
    fn tree<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        seat: usize,
        tree: &Tree,
        in_time: &dyn Fn() -> bool,
    ) -> io::Result<Vec<Waiting<'scope>>> {
        let (mut waiting, mut known) = (Vec::new(), None);
        for run in tree.runs.clone().take_while(|_| in_time()) {
            let History { scenario, common } =
                history(self.campaign.seed, run, self.campaign.rules(tree.release));
            // What is found in a common beginning is found in all that have it.
            if let Some(found) = known.clone() {
                self.note(run, tree, &scenario, Answer { found, carried: Carried::default() })?;
                continue;
            }
            let task = self.task(tree, scenario, vec![common]);
            if task.waits() {
                let tree = tree.clone();
                waiting.push(scope.spawn(move || self.one(seat, run, &tree, &task).map(drop)));
                continue;
            }
            let found = self.one(seat, run, tree, &task)?;
            known = found.step().filter(|step| *step <= common).map(|_| found);
        }
        Ok(waiting)
    }

    fn task(&self, tree: &Tree, scenario: Scenario, keep: Vec<usize>) -> Task {
        Task { kernel: tree.kernel.clone(), scenario, mistake: self.campaign.mistake, keep }
    }

    /// Carries out one run, and shrinks what it shows.
    fn one(&self, seat: usize, run: u64, tree: &Tree, task: &Task) -> io::Result<Found> {
        let answer = (self.carry_out)(seat, task);
        let found = answer.found.clone();
        self.note(run, tree, &task.scenario, answer)?;
        if let Some(step) = found.step() {
            let file = self.shrunk(seat, run, tree, task.scenario.clone(), step, &found)?;
            let Tree { kernel, .. } = tree;
            say(format_args!(
                "run {run} on {kernel}: repeat it with: dimmer-lab check {} --kernel {kernel}",
                file.display()
            ))?;
        }
        Ok(found)
    }

    /// Puts a run on record, and says what came of it.
    fn note(&self, run: u64, tree: &Tree, scenario: &Scenario, answer: Answer) -> io::Result<()> {
        let Answer { found, carried } = answer;
        let steps = scenario.steps.len();
        let name = format!("run {run} on {}", tree.kernel);
        match &found {
            Found::Nothing { blocks } => say(format_args!(
                "{name}: {steps} steps as the oracle says, {blocks} block checks, {:.1} s",
                Duration::from_millis(carried.spent.total()).as_secs_f64()
            ))?,
            Found::Lost { why } => say(format_args!("{name}: the guest was lost: {why}"))?,
            Found::Difference { step, lines, .. } => {
                say(format_args!("{name}: a difference after step {step} of {steps}{}", indented(lines)))?;
            }
        }
        let run = Run::new(self.campaign.seed, run, (&tree.kernel, tree.release), scenario, found, carried);
        lock(&self.record).add(&run)
    }

    /// Shrinks a scenario that shows a difference, and writes it to a file. Only candidates count that show something of
    /// the same kind: another difference would be another finding.
    fn shrunk(
        &self,
        seat: usize,
        run: u64,
        tree: &Tree,
        scenario: Scenario,
        step: usize,
        found: &Found,
    ) -> io::Result<PathBuf> {
        let kernel = &tree.kernel;
        // A kernel may be a path.
        let on = kernel.rsplit('/').next().unwrap_or(kernel);
        let file = self.campaign.directory.join(format!("explore-{}-{run}-{on}.toml", self.campaign.seed));
        write(&file, &scenario, kernel)?;
        let kinds = found.kinds();
        let (mut last, mut steps) = (found.clone(), 0);
        let rules = self.campaign.rules(tree.release);
        let shrunk = shrink(scenario, step, rules, ATTEMPTS, |Candidate { scenario, common }| {
            let task = self.task(tree, scenario.clone(), vec![*common]);
            let Answer { found, carried } = (self.carry_out)(seat, &task);
            steps += carried.steps;
            if found.kinds().is_disjoint(&kinds) {
                return None;
            }
            let step = found.step()?;
            // That it cannot be said shows with the next line that has to be.
            let _ = say(format_args!(
                "run {run} on {kernel}: {} steps still differ",
                scenario.steps.len().min(step)
            ));
            last = found;
            Some(step)
        });
        write(&file, &shrunk.scenario, kernel)?;
        say(format_args!(
            "run {run} on {kernel}: {} steps are left after {} attempts, for which {steps} steps were carried out{}\n{}",
            shrunk.scenario.steps.len(),
            shrunk.attempts,
            indented(last.lines()),
            shrunk.scenario.to_toml()
        ))?;
        let (kernel, scenario) = (kernel.clone(), shrunk.scenario);
        let finding = Finding { run, kernel, file: file.clone(), scenario, found: last };
        lock(&self.record).findings.push(finding);
        Ok(file)
    }
}

fn joined(thread: Waiting<'_>) -> io::Result<()> {
    thread.join().unwrap_or_else(|_| Err(io::Error::other("a run panicked")))
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
