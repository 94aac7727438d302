//! A forecast as JSON: after each step all of memory, blocks as runs of neighbours that show the same.

use dimmer_oracle::absent::NotAdded;
use dimmer_oracle::group::GroupKind;
use dimmer_oracle::release::Release;
use serde_json::{Map, Value, json};

use super::text::runs;
use super::{Look, Moment, Picture, forecast};
use crate::scenario::{BlockSet, Scenario};

/// All of a scenario: `kernel`, `block_size`, and `steps` with the boot as the first.
///
/// # Errors
/// As [`forecast`].
pub fn document(scenario: &Scenario, release: Release) -> Result<Value, String> {
    let mut block_size = 0;
    let mut steps: Vec<Value> = Vec::new();
    forecast(scenario, release, |moment: Moment<'_>| {
        block_size = moment.model.linux.memory.block_size();
        steps.push(value(&moment));
        Ok::<_, String>(())
    })?;
    Ok(json!({"kernel": release.to_string(), "block_size": block_size, "steps": steps}))
}

/// A moment: `step`, `action`, what came of it, `blocks`, `zones`, `groups`, and `mem_total_kb`, by how much MemTotal is
/// larger than right after a boot without memory devices.
pub fn value(moment: &Moment<'_>) -> Value {
    let mut all = Map::new();
    all.insert("step".into(), json!(moment.step));
    all.insert("action".into(), json!(moment.action));
    all.extend(came(moment));
    let after = moment.after;
    all.insert("blocks".into(), blocks(moment));
    all.insert("zones".into(), zones(after));
    all.insert("groups".into(), groups(after));
    if !after.not_added.is_empty() {
        all.insert("not_added".into(), not_added(after));
    }
    all.insert("mem_total_kb".into(), json!(after.mem_total_kb));
    Value::Object(all)
}

/// How the step ends; what it does not have is missing.
fn came(moment: &Moment<'_>) -> Map<String, Value> {
    let effect = moment.effect;
    let refused: Vec<Value> = effect
        .refused
        .iter()
        .map(|(index, errno)| json!({"block": index, "errno": errno.to_string()}))
        .collect();
    let all = json!({
        "outcome": effect.outcome,
        "ost": effect.ost,
        "plugged": effect.plugged,
        "dax": effect.dax.as_ref().map(ToString::to_string),
        "refused": refused,
        "requests": effect.requests,
        "stuck": effect.stuck,
        "hardware_corrupted": effect.hardware_corrupted,
        "may_lose_the_guest": effect.may_lose_the_guest.then_some(true),
        "open": (!effect.open.is_empty()).then(|| BlockSet(effect.open.clone())),
    });
    let is_said = |value: &Value| match value {
        Value::Null => false,
        Value::Array(all) => !all.is_empty(),
        Value::Object(all) => !all.is_empty(),
        _ => true,
    };
    let Value::Object(all) = all else { unreachable!("it was made as an object") };
    all.into_iter().filter(|(_, value)| is_said(value)).collect()
}

fn not_added(after: &Picture) -> Value {
    let one = |(device, one): &(String, NotAdded)| {
        let (start, size) = (one.range.start, one.range.end - one.range.start);
        json!({"device": device, "start": start, "size": size, "reason": one.to_string()})
    };
    after.not_added.iter().map(one).collect()
}

fn blocks(moment: &Moment<'_>) -> Value {
    let mut all: Vec<(u64, u64, Look)> = Vec::new();
    for (&index, &look) in moment.blocks.looks() {
        match all.last_mut() {
            Some((_, last, same)) if *last + 1 == index && look.node.is_some() && *same == look => {
                *last = index
            }
            _ => all.push((index, index, look)),
        }
    }
    let memory = &moment.model.linux.memory;
    let run = |(first, last, Look { shown, .. }): (u64, u64, Look)| {
        let state = match (shown.online, shown.going_offline) {
            (true, _) => "online",
            (false, true) => "going-offline",
            (false, false) => "offline",
        };
        let zones: Vec<&str> = shown.words().collect();
        json!({"first": first, "last": last, "state": state, "zones": zones, "nodes": memory.blocks()[&first].nodes()})
    };
    all.into_iter().map(run).collect()
}

fn zones(picture: &Picture) -> Value {
    let zones = picture.zones.iter().map(|(node, zone, state)| {
        json!({
            "node": node, "name": zone.name(), "start_pfn": state.span.start,
            "spanned": state.span.end - state.span.start, "present": state.present, "present_early": state.early,
        })
    });
    zones.collect()
}

fn groups(picture: &Picture) -> Value {
    let groups = picture.groups.iter().map(|(device, super::Group { group, blocks })| {
        let (kind, pages, count) = match group.kind {
            GroupKind::Static { max_pages } => ("static", "max_pages", max_pages),
            GroupKind::Dynamic { unit_pages } => ("dynamic", "unit_pages", unit_pages),
        };
        json!({
            "device": device, "kind": kind, pages: count, "node": group.node, "blocks": runs(blocks),
            "present_kernel": group.present_kernel, "present_movable": group.present_movable,
        })
    });
    groups.collect()
}
