//! What came of a step beside the layout, held against what the oracle allows.

use std::collections::BTreeMap;

use dimmer_agent::report::Layout;
use dimmer_oracle::memory::Errno;
use dimmer_oracle::virtio_mem::Request;
use dimmer_oracle::zone::Zone;

use super::words;
use crate::check::Difference;
use crate::predict::Prediction;
use crate::scenario::Effect;
use crate::verdict::report;

/// What is not allowed of what was seen, `before` is the model before the step.
pub(super) fn differences(before: &Prediction, predicted: &Effect, seen: &Effect) -> Vec<Difference> {
    let mut all = Vec::new();
    let mut compare = |what: &str, expected: String, seen: String| {
        if expected != seen {
            all.push(Difference::oracle(what, expected, seen));
        }
    };
    compare("outcome", words::outcome(predicted.outcome), words::outcome(seen.outcome));
    compare("_OST", words::reports(&predicted.ost), words::reports(&seen.ost));
    compare("plugged size", words::size(predicted.plugged), words::size(seen.plugged));
    if predicted.dax.is_some() {
        compare("dax device", words::dax(predicted.dax.as_ref()), words::dax(seen.dax.as_ref()));
    }
    all.extend(refusals(before, &predicted.refused, &seen.refused));
    all.extend(requests(&predicted.requests, &seen.requests));
    all
}

/// How the guest is set up, as far as it shows that, otherwise than the model has it.
pub(super) fn defaults(model: &Prediction, layout: &Layout) -> Vec<Difference> {
    let (settings, policy) = (model.linux.settings, model.linux.memory.policy);
    let ratio = layout.auto_movable_ratio.map(|ratio| ratio.to_string());
    let all = [
        ("auto_online_blocks", report::online_word(settings.auto_online), layout.auto_online_blocks.clone()),
        ("online_policy", report::policy_word(policy.policy), layout.online_policy.clone()),
        ("auto_movable_ratio", &policy.ratio.to_string(), ratio),
    ];
    let differs = |(what, expected, seen): (&str, &str, Option<String>)| {
        let seen = seen.filter(|seen| seen != expected)?;
        Some(Difference::oracle(what, expected.to_owned(), seen))
    };
    all.into_iter().filter_map(differs).collect()
}

/// Blocks that refused and must not, or the other way round, or with another error.
fn refusals(before: &Prediction, predicted: &[(u64, Errno)], seen: &[(u64, Errno)]) -> Vec<Difference> {
    let (predicted, seen): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (predicted.iter().copied().collect(), seen.iter().copied().collect());
    let mut blocks: Vec<u64> = predicted.keys().chain(seen.keys()).copied().collect();
    blocks.sort_unstable();
    blocks.dedup();
    let word = |errno: Option<&Errno>| errno.map_or("success".to_owned(), ToString::to_string);
    let mut all = Vec::new();
    for block in blocks {
        let (expected, seen) = (predicted.get(&block), seen.get(&block));
        if expected != seen {
            let why = reason(before, block).to_owned();
            let what = format!("answer of block {block}");
            all.push(Difference { why, ..Difference::oracle(&what, word(expected), word(seen)) });
        }
    }
    all
}

/// What the block was before the step, which decides on what it may do.
fn reason(before: &Prediction, index: u64) -> &'static str {
    let Some(block) = before.linux.memory.blocks().get(&index) else { return "there was no such block" };
    match block.zone() {
        _ if !block.is_online() => "it was offline",
        None => "it was in several zones, which can never go offline",
        Some(_) if block.holes => "RAM does not fill it, so it can never go offline",
        Some(_) if before.linux.held.contains(&index) => "a page of it was held",
        Some(_) if block.early => "it was boot memory, which may refuse with EBUSY and nothing else",
        Some(Zone::Movable) => "it was in zone Movable, where every page can be moved",
        Some(_) => "it was in a kernel zone, which may refuse with EBUSY and nothing else",
    }
}

/// For each device the first request that is not as predicted.
pub(super) fn requests(
    predicted: &BTreeMap<String, Vec<Request>>,
    seen: &BTreeMap<String, Vec<Request>>,
) -> Vec<Difference> {
    const NONE: &[Request] = &[];
    let mut devices: Vec<&String> = predicted.keys().chain(seen.keys()).collect();
    devices.sort_unstable();
    devices.dedup();
    let of =
        |all: &BTreeMap<String, Vec<Request>>, id: &String| all.get(id).map_or(NONE.to_vec(), Clone::clone);
    let difference = |id: &String| {
        let (predicted, seen) = (of(predicted, id), of(seen, id));
        let number = (0..predicted.len().max(seen.len())).find(|at| predicted.get(*at) != seen.get(*at))?;
        let word = |all: &[Request]| all.get(number).map_or("no more".to_owned(), ToString::to_string);
        let (expected, found) = (word(&predicted), word(&seen));
        Some(Difference::oracle(&format!("request {} of {id}", number + 1), expected, found))
    };
    devices.into_iter().filter_map(difference).collect()
}
