//! What the oracle says of a scenario, step by step: what `dimmer-lab predict` prints, as [text] and as [JSON](json).

use std::collections::BTreeMap;

use dimmer_oracle::absent::NotAdded;
use dimmer_oracle::linux::Linux;
use dimmer_oracle::memory::{GroupId, Memory, Shown};
use dimmer_oracle::release::Release;
use dimmer_oracle::zone::{Zone, ZoneState};

use super::Prediction;
use crate::scenario::{Effect, Scenario};

pub mod json;
mod requests;
pub mod text;

/// The model after one step.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The step; 0 is the boot.
    pub step: usize,
    /// What it does, by its key.
    pub action: &'a str,
    /// The model.
    pub model: &'a Prediction,
    /// What came of the step, beside the memory.
    pub effect: &'a Effect,
    /// Memory before it; nothing before the boot.
    pub before: &'a Picture,
    /// Memory after it.
    pub after: &'a Picture,
}

/// Memory at one moment, as far as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    /// The blocks, ascending.
    pub blocks: Vec<Look>,
    /// The zones that span something, by node.
    pub zones: Vec<(u32, Zone, ZoneState)>,
    /// The memory group of each device that has one, by the device's name.
    pub groups: BTreeMap<String, Group>,
    /// What Linux could not add of ACPI memory devices, by the device's name.
    pub not_added: Vec<(String, NotAdded)>,
    /// KiB that MemTotal is larger than right after a boot without memory devices.
    pub mem_total_kb: i64,
}

/// What one block shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Its number.
    pub index: u64,
    /// Its state and zones.
    pub shown: Shown,
    /// The node that it is linked to; `None` when there are several.
    pub node: Option<u32>,
}

/// A memory group, and the blocks that are in it, as first and last of each run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The group.
    pub group: dimmer_oracle::group::Group,
    /// Its blocks.
    pub blocks: Vec<(u64, u64)>,
}

/// Hands over the model of a kernel of `release` after its boot and after each step of `scenario`.
///
/// # Errors
/// What is wrong with the scenario, and in which step; what `each` fails with.
pub fn forecast<E: From<String>>(
    scenario: &Scenario,
    release: Release,
    mut each: impl FnMut(Moment<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut model = Prediction::new(scenario, release)?;
    let mut before = Picture::default();
    let mut after = Picture::of(&model.linux);
    let effect = Effect { requests: model.requests(), ..Effect::default() };
    each(Moment { step: 0, action: "boot", model: &model, effect: &effect, before: &before, after: &after })?;
    for (step, wanted) in (1..).zip(&scenario.steps) {
        let action = wanted.action();
        let effect = model.apply(&action).map_err(|problem| format!("step {step}: {problem}"))?;
        before = std::mem::replace(&mut after, Picture::of(&model.linux));
        let (model, effect, before, after) = (&model, &effect, &before, &after);
        each(Moment { step, action: action.name(), model, effect, before, after })?;
    }
    Ok(())
}

impl Picture {
    fn of(linux: &Linux) -> Self {
        let memory = &linux.memory;
        let look = |(index, block, shown): (u64, &dimmer_oracle::memory::Block, Shown)| Look {
            index,
            shown,
            node: block.only_node(),
        };
        let zones = memory
            .nodes()
            .flat_map(|(node, zones)| Zone::ALL.map(|zone| (node, zone, &zones[zone as usize])));
        let zones = zones.filter(|(.., state)| !state.span.is_empty());
        Self {
            blocks: memory.all_shown().map(look).collect(),
            zones: zones.map(|(node, zone, state)| (node, zone, state.clone())).collect(),
            groups: groups(linux),
            not_added: linux
                .not_added
                .iter()
                .flat_map(|(id, all)| all.iter().map(move |one| (id.clone(), one.clone())))
                .collect(),
            mem_total_kb: linux.managed_since_boot() * 4,
        }
    }
}

/// The groups of all devices.
fn groups(linux: &Linux) -> BTreeMap<String, Group> {
    let dimms = linux.dimms.iter().map(|(id, dimm)| (id, dimm.group()));
    let dax = linux.dax.iter().map(|(id, device)| (id, device.group()));
    let devices = dimms.chain(dax).chain(linux.virtio_mem.iter().map(|(id, device)| (id, device.group())));
    let named = devices.filter_map(|(id, group)| Some((id.clone(), group?)));
    let mut blocks = runs_of_groups(&linux.memory);
    let group = |id: GroupId| Group {
        group: linux.memory.group(id).clone(),
        blocks: blocks.remove(&id).unwrap_or_default(),
    };
    let mut group = group;
    named.map(|(name, id)| (name, group(id))).collect()
}

fn runs_of_groups(memory: &Memory) -> BTreeMap<GroupId, Vec<(u64, u64)>> {
    let mut all: BTreeMap<GroupId, Vec<(u64, u64)>> = BTreeMap::new();
    // Neighbours are mostly of one group, which is then not looked up again.
    let mut run: Option<(GroupId, u64, u64)> = None;
    let mut end = |run: Option<(GroupId, u64, u64)>| {
        if let Some((id, first, last)) = run {
            all.entry(id).or_default().push((first, last));
        }
    };
    for (index, block) in memory.blocks() {
        match (&mut run, block.group) {
            (Some((id, _, last)), Some(group)) if *id == group && *last + 1 == *index => *last = *index,
            (_, group) => end(std::mem::replace(&mut run, group.map(|id| (id, *index, *index)))),
        }
    }
    end(run);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of each step of a scenario of the library.
    fn texts(name: &str) -> Vec<String> {
        let source = crate::library::find(name).unwrap().remove(0);
        let mut all = Vec::new();
        let each = |moment: Moment<'_>| {
            let mut text = String::new();
            text::write(&moment, &mut text).map_err(|error| error.to_string())?;
            all.push(text);
            Ok::<_, String>(())
        };
        forecast(&source.scenario, Release::new(6, 12), each).unwrap();
        all
    }

    #[test]
    fn the_boot_shows_everything_and_a_step_what_it_changes() {
        let all = texts("01-six-dimms-at-ratio-301");
        let boot = "\
boot
  block 0            none
  blocks 1-15        DMA32
  blocks 32-47       Normal
  zone DMA of node 0: start_pfn 0x1, 4095 pages spanned, 3998 present, 3998 of them early
  zone DMA32 of node 0: start_pfn 0x1000, 1044480 pages spanned, 520192 present, 520192 of them early
  zone Normal of node 0: start_pfn 0x100000, 524288 pages spanned, 524288 present, 524288 of them early
";
        assert_eq!(all[0], boot);
        let after = &all[1];
        for line in [
            "  blocks 48-143      Movable\n",
            "  blocks 144-239     Normal\n",
            "  zone Normal of node 0: start_pfn 0x100000, 6815744 pages spanned, 3670016 present, 524288 of them early\n",
            "  group of d3: static, at most 1048576 pages, node 0, blocks 144-175, 1048576 pages kernel, 0 movable\n",
            "  MemTotal +25165824 kB since the boot\n",
            "  done; _OST 0x1,0x0 0x1,0x0 0x1,0x0 0x1,0x0 0x1,0x0 0x1,0x0\n",
        ] {
            assert!(after.contains(line), "{line:?} is not in:\n{after}");
        }
        assert!(!after.contains("DMA"), "boot memory did not change:\n{after}");
    }

    #[test]
    fn the_drivers_requests_and_what_goes_are_shown() {
        let all = texts("29-a-pinned-part-stays");
        assert!(
            all[1].contains("  vmem0: plug 0x180000000+128M, plug 0x188000000+128M, plug 0x190000000+128M\n")
        );
        let last = all.last().unwrap();
        assert!(last.contains("  block 49           absent\n"), "{last}");
        assert!(last.contains("  group of vmem0: dynamic, unit 32768 pages, node 0, no blocks, "), "{last}");
    }

    #[test]
    fn the_json_has_every_step_with_all_memory() {
        let source = crate::library::find("44-two-nodes-with-numa-aware").unwrap().remove(0);
        let mut all = Vec::new();
        let each = |moment: Moment<'_>| {
            all.push(json::value(&moment));
            Ok::<_, String>(())
        };
        forecast(&source.scenario, Release::new(6, 12), each).unwrap();
        let last = all.last().unwrap();
        let run = |first: u64, last: u64, zone: &str, node: u32| serde_json::json!({"first": first, "last": last, "state": "online", "zones": [zone], "nodes": [node]});
        let blocks = last["blocks"].as_array().unwrap();
        assert_eq!(blocks[blocks.len() - 2], run(112, 143, "Movable", 0));
        assert_eq!(blocks[blocks.len() - 1], run(144, 175, "Normal", 0));
        assert_eq!(last["groups"][1]["device"], "a1");
        assert_eq!(last["groups"][1]["present_kernel"], 1048576);
        assert_eq!(last["groups"][1]["blocks"], "80-111");
        assert_eq!(
            (&last["step"], &last["action"], &last["outcome"]),
            (&2.into(), &"plug".into(), &"done".into())
        );
        assert_eq!(last["ost"], serde_json::json!([[1, 0], [1, 0]]));
    }
}
