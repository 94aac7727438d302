//! Random histories: the model runs along, so that every step is possible and, if wanted, has one outcome
//! only.

use dimmer_oracle::release::Release;

use super::dice::Dice;
use super::exact::is_exact;
use super::machine::{self, SLOTS};
use super::steps::{self, Moment};
use crate::predict::Prediction;
use crate::scenario::{Scenario, Step};

/// Runs with one machine: a guest can serve them all, one after the other.
pub const FAMILY: u64 = 8;
/// Steps of a history.
const STEPS: std::ops::RangeInclusive<u64> = 5..=20;
/// How often another step is tried when one is not possible, before the history ends as it is.
const TRIES: usize = 200;
/// Memory of devices for each byte of boot memory, at most: Linux keeps its books in boot memory.
const MOST_PER_RAM: u64 = 8;
/// Blocks that may come, at most: a guest takes its time to show them.
const MOST_BLOCKS: u64 = 96;

/// What histories are to be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The guest's release.
    pub release: Release,
    /// Keeps steps out that Linux may end in more than one way.
    pub only_exact: bool,
}

/// The scenario of one run. Its machine is the same for [`FAMILY`] runs.
pub fn scenario(seed: u64, run: u64, rules: Rules) -> Scenario {
    let mut dice = Dice::new(seed, run / FAMILY * 2);
    let (mut scenario, model) = loop {
        let scenario = machine::scenario(&mut dice, rules.release);
        // Some machines do not fit together.
        if let Ok(model) = Prediction::new(&scenario, rules.release) {
            break (scenario, model);
        }
    };
    let nodes = scenario.machine.numa.len().max(1) as u64;
    scenario.shows = format!("Run {run} of seed {seed}");
    scenario.steps = steps(&mut Dice::new(seed, run * 2 + 1), model, nodes, rules);
    scenario
}

fn steps(dice: &mut Dice, mut model: Prediction, nodes: u64, rules: Rules) -> Vec<Step> {
    let wanted = dice.number(STEPS);
    let most = most(&model);
    let mut steps: Vec<Step> = Vec::new();
    if dice.chance(60) {
        let step = steps::settings(dice);
        model = follow(&model, &step, rules).unwrap_or(model);
        steps.push(step);
    }
    for _ in 0..TRIES {
        if steps.len() as u64 == wanted {
            break;
        }
        let room = most.saturating_sub(plugged(&model));
        let moment = Moment { model: &model, number: steps.len(), nodes, room };
        let Some(step) = steps::any(dice, &moment) else { continue };
        if let Some(after) = follow(&model, &step, rules).filter(|after| plugged(after) <= most) {
            model = after;
            steps.push(step);
        }
    }
    steps
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
    (early * dimmer_oracle::zone::PAGE * MOST_PER_RAM).min(MOST_BLOCKS * memory.block_size())
}
