//! Random histories: the model runs along, so that every step is possible and, if wanted, has one outcome
//! only.
//!
//! Histories are paths of trees: [`TREE`] runs in a row have their beginning in common, and part where the model's state is
//! of interest ([`interest`](super::interest)). Each end has a rule as its goal, by its number, so that in the course of
//! many runs each rule is asked for.

use dimmer_oracle::release::Release;
use dimmer_oracle::rule::{Met, Rule};
use dimmer_oracle::zone::{PAGE, SECTION};

use super::dice::Dice;
use super::exact::is_exact;
use super::interest::interest;
use super::machine::{self, SLOTS};
use super::steps::{self, Moment};
use crate::predict::Prediction;
use crate::scenario::{Empty, Scenario, Step};

/// Runs with one machine and one beginning.
pub const TREE: u64 = 24;
/// Steps of a beginning, and of an end.
const BEGINNING: std::ops::RangeInclusive<u64> = 5..=14;
const END: std::ops::RangeInclusive<u64> = 2..=5;
/// How many beginnings are tried for the most interesting one, and ends for one that meets its goal.
const BEGINNINGS: usize = 5;
const CANDIDATES: usize = 12;
/// What meeting its goal counts for an end, and what a boot costs it, where another rule that it meets counts 1. A boot takes
/// as long as ten other steps.
const GOAL: i64 = 8;
const BOOT: i64 = 6;
/// How often another step is tried when one is not possible, before the history ends as it is.
const TRIES: usize = 100;
/// In so many percent of the ends that can, the driver of a virtio-mem device is waited for.
const WAITS: u64 = 40;
/// Memory of devices for each byte of boot memory, at most: Linux keeps its books in boot memory.
const MOST_PER_RAM: u64 = 8;
/// Blocks that may come, at most, and bytes of larger ones: a guest takes its time to have them, and to show them.
const MOST_BLOCKS: u64 = 96;
const MOST_LARGE: u64 = 8 << 30;
/// So many blocks may come, however large they are.
const LEAST_BLOCKS: u64 = 6;

/// What histories are to be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The guest's release.
    pub release: Release,
    /// Keeps steps out that Linux may end in more than one way.
    pub only_exact: bool,
}

/// What one run is.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// All of it.
    pub scenario: Scenario,
    /// How many of its steps are the beginning that it has in common with others.
    pub common: usize,
}

/// What the runs of one tree have in common: the machine, and the first steps.
#[derive(Debug)]
pub struct Trunk {
    seed: u64,
    scenario: Scenario,
    beginning: Growth,
}

impl Trunk {
    /// The trunk of the tree that a run belongs to.
    pub fn of(seed: u64, run: u64, rules: Rules) -> Self {
        let mut dice = stream(seed, 0, run / TREE);
        let (scenario, model) = loop {
            let scenario = machine::scenario(&mut dice, rules.release);
            // Some machines do not fit together.
            if let Ok(model) = Prediction::new(&scenario, rules.release) {
                break (scenario, model);
            }
        };
        let growth = Growth::new(&scenario, model, rules);
        let beginning = growth.beginning(&mut stream(seed, 1, run / TREE));
        Self { seed, scenario, beginning }
    }

    /// The history of a run of its tree.
    pub fn history(&self, run: u64) -> History {
        let goal = (self.seed + run) % Rule::ALL.len() as u64;
        let goal = Rule::ALL[usize::try_from(goal).expect("there are few rules")];
        let end = self.beginning.end(&mut stream(self.seed, 2, run), goal);
        let shows = format!("Run {run} of seed {}", self.seed);
        let scenario = Scenario { shows, steps: end.steps, ..self.scenario.clone() };
        History { scenario, common: self.beginning.steps.len() }
    }
}

/// The history of one run, which depends on the seed and its number alone.
pub fn history(seed: u64, run: u64, rules: Rules) -> History {
    Trunk::of(seed, run, rules).history(run)
}

fn stream(seed: u64, kind: u64, number: u64) -> Dice {
    Dice::new(seed, number * 3 + kind)
}

/// The rules that a scenario meets in its machine's boot and its first `steps` steps.
pub fn met(scenario: &Scenario, steps: usize, release: Release) -> Met {
    let Ok(mut model) = Prediction::new(scenario, release) else { return Met::new() };
    for step in scenario.steps.iter().take(steps) {
        if model.apply(&step.action()).is_err() {
            break;
        }
    }
    model.linux.memory.met
}

/// A history that grows.
#[derive(Debug, Clone)]
struct Growth {
    model: Prediction,
    steps: Vec<Step>,
    nodes: u64,
    breaks: bool,
    most: u64,
    rules: Rules,
}

impl Growth {
    fn new(scenario: &Scenario, model: Prediction, rules: Rules) -> Self {
        let nodes = scenario.machine.numa.len().max(1) as u64;
        let (most, breaks) = (most(&model), scenario.guest.machine_checks);
        Self { model, steps: Vec::new(), nodes, breaks, most, rules }
    }

    /// The most interesting of several beginnings.
    fn beginning(&self, dice: &mut Dice) -> Self {
        let all = (0..BEGINNINGS).map(|_| {
            let mut all = self.clone();
            if dice.chance(60) {
                all.add(steps::settings(dice));
            }
            let wanted = dice.number(BEGINNING);
            all.grow(dice, wanted);
            all
        });
        all.max_by_key(|growth| interest(&growth.model, growth.nodes)).expect("there are some")
    }

    /// The best of several ends.
    fn end(&self, dice: &mut Dice, goal: Rule) -> Self {
        let all = (0..CANDIDATES).map(|_| {
            let mut end = self.clone();
            end.model.linux.memory.met = Met::new();
            let wanted = self.steps.len() as u64 + dice.number(END);
            end.grow(dice, wanted);
            if end.is_late() && (goal == Rule::TimerTriesAgain || dice.chance(WAITS)) {
                end.add(Step { settle: Some(Empty {}), ..Step::default() });
            }
            (self.worth(&end, goal), end)
        });
        all.max_by_key(|(worth, _)| *worth).expect("there are some").1
    }

    /// What an end counts: the rules that it meets and the beginning has not, its goal more than others, less what it costs.
    fn worth(&self, end: &Self, goal: Rule) -> i64 {
        let met = end.model.linux.memory.met;
        let new = i64::from(met.without(self.model.linux.memory.met).count());
        let boots = end.steps[self.steps.len()..].iter().filter(|step| step.reboot.is_some()).count() as i64;
        new + if met.has(goal) { GOAL } else { 0 } - BOOT * boots
    }

    /// Adds steps until there are so many, or no further one is found.
    fn grow(&mut self, dice: &mut Dice, wanted: u64) {
        for _ in 0..TRIES {
            if self.steps.len() as u64 >= wanted {
                break;
            }
            let room = self.most.saturating_sub(plugged(&self.model));
            let (nodes, breaks) = (self.nodes, self.breaks);
            let moment = Moment { model: &self.model, number: self.steps.len(), nodes, room, breaks };
            if let Some(step) = steps::any(dice, &moment) {
                self.add(step);
            }
        }
    }

    /// Whether a virtio-mem device has not what it asks for.
    fn is_late(&self) -> bool {
        self.model.linux.virtio_mem.values().any(|device| device.plugged() != device.requested)
    }

    /// Adds a step if it is possible.
    fn add(&mut self, step: Step) {
        let after = follow(&self.model, &step, self.rules);
        if let Some(after) = after.filter(|after| plugged(after) <= self.most) {
            self.model = after;
            self.steps.push(step);
        }
    }
}

/// The model after `step`; nothing when it is not possible or not exact.
fn follow(model: &Prediction, step: &Step, rules: Rules) -> Option<Prediction> {
    step.check().ok()?;
    let action = step.action();
    let mut after = model.clone();
    let effect = after.apply(&action).ok()?;
    let exact = !rules.only_exact || is_exact(model, &action, &effect);
    (exact && after.dimms().count() <= SLOTS).then_some(after)
}

/// Whether a scenario could have been made here: the machine is possible, and so is every step.
pub fn is_possible(scenario: &Scenario, rules: Rules) -> bool {
    let Ok(mut model) = Prediction::new(scenario, rules.release) else { return false };
    for step in &scenario.steps {
        match follow(&model, step, rules) {
            Some(after) if plugged(&after) <= most(&after) => model = after,
            _ => return false,
        }
    }
    true
}

/// Bytes of blocks that are no boot memory.
fn plugged(model: &Prediction) -> u64 {
    let memory = &model.linux.memory;
    memory.blocks().values().filter(|block| !block.early).count() as u64 * memory.block_size()
}

/// Bytes of memory devices that the guest can take.
fn most(model: &Prediction) -> u64 {
    let memory = &model.linux.memory;
    let early: u64 = memory.nodes().flat_map(|(_, zones)| zones).map(|zone| zone.early).sum();
    let block = memory.block_size();
    let large = MOST_LARGE.max(LEAST_BLOCKS * block);
    let most = if block > SECTION * PAGE { large } else { MOST_BLOCKS * block };
    (early * PAGE * MOST_PER_RAM).min(most)
}
