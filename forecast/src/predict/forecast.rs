//! What the oracle says of a scenario, step by step: what `dimmer-lab predict` prints, as [text] and as [JSON](json).

use std::collections::BTreeMap;

use dimmer_oracle::absent::NotAdded;
use dimmer_oracle::linux::Linux;
use dimmer_oracle::release::Release;
use dimmer_oracle::zone::{Zone, ZoneState};

use super::Prediction;
use crate::scenario::{Effect, Scenario};

mod blocks;
pub mod json;
mod requests;
pub mod text;

pub use blocks::{Blocks, Look};

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
    /// All blocks after it, and which of them it changed.
    pub blocks: &'a Blocks,
    /// The rest of memory before it; nothing before the boot.
    pub before: &'a Picture,
    /// The rest of memory after it.
    pub after: &'a Picture,
}

/// Memory at one moment, as far as it is shown beside its blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    /// The zones that span something, by node.
    pub zones: Vec<(u32, Zone, ZoneState)>,
    /// The memory group of each device that has one, by the device's name.
    pub groups: BTreeMap<String, Group>,
    /// What Linux could not add of ACPI memory devices, by the device's name.
    pub not_added: Vec<(String, NotAdded)>,
    /// KiB that MemTotal is larger than right after a boot without memory devices.
    pub mem_total_kb: i64,
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
    let mut blocks = Blocks::default();
    blocks.keep_up(&mut model.linux.memory);
    let mut before = Picture::default();
    let mut after = Picture::of(&model.linux, &blocks);
    let effect = Effect { requests: model.requests(), ..Effect::default() };
    each(Moment {
        step: 0,
        action: "boot",
        model: &model,
        effect: &effect,
        blocks: &blocks,
        before: &before,
        after: &after,
    })?;
    for (step, wanted) in (1..).zip(&scenario.steps) {
        let action = wanted.action();
        let effect = model.apply(&action).map_err(|problem| format!("step {step}: {problem}"))?;
        blocks.keep_up(&mut model.linux.memory);
        before = std::mem::replace(&mut after, Picture::of(&model.linux, &blocks));
        let (model, effect, blocks, before, after) = (&model, &effect, &blocks, &before, &after);
        each(Moment { step, action: action.name(), model, effect, blocks, before, after })?;
    }
    Ok(())
}

impl Picture {
    fn of(linux: &Linux, blocks: &Blocks) -> Self {
        let memory = &linux.memory;
        let zones = memory
            .nodes()
            .flat_map(|(node, zones)| Zone::ALL.map(|zone| (node, zone, &zones[zone as usize])));
        let zones = zones.filter(|(.., state)| !state.span.is_empty());
        Self {
            zones: zones.map(|(node, zone, state)| (node, zone, state.clone())).collect(),
            groups: groups(linux, blocks),
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
fn groups(linux: &Linux, blocks: &Blocks) -> BTreeMap<String, Group> {
    let dimms = linux.dimms.iter().map(|(id, dimm)| (id, dimm.group()));
    let dax = linux.dax.iter().map(|(id, device)| (id, device.group()));
    let devices = dimms.chain(dax).chain(linux.virtio_mem.iter().map(|(id, device)| (id, device.group())));
    let group = |id| Group { group: linux.memory.group(id).clone(), blocks: blocks.of_group(id) };
    devices.filter_map(|(name, id)| Some((name.clone(), group(id?)))).collect()
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

    /// What is kept up block by block is what a look at all of memory says, after each step of each scenario.
    #[test]
    fn what_is_kept_of_the_blocks_is_all_of_memory() {
        let mut steps = 0;
        for source in crate::library::library().unwrap() {
            for release in [Release::new(5, 10), Release::new(6, 12)] {
                let each = |moment: Moment<'_>| {
                    let name = format!("{}, step {}", source.name, moment.step);
                    same_as_all_of_memory(&moment, &name);
                    steps += 1;
                    Ok::<_, String>(())
                };
                // Some are about releases that this one does not do, which ends them early.
                let _ = forecast(&source.scenario, release, each);
            }
        }
        assert!(steps > 500, "{steps}");
    }

    fn same_as_all_of_memory(moment: &Moment<'_>, name: &str) {
        let linux = &moment.model.linux;
        let all = linux.memory.all_shown();
        let all = all.map(|(index, block, shown)| (index, Look { shown, node: block.only_node() }));
        assert!(all.eq(moment.blocks.looks().iter().map(|(index, look)| (*index, *look))), "{name}");
        for (id, _) in linux.memory.groups() {
            let of_group = linux.memory.blocks().iter().filter(|(_, block)| block.group == Some(id));
            let of_group: Vec<u64> = of_group.map(|(index, _)| *index).collect();
            let runs = moment.blocks.of_group(id).into_iter().flat_map(|(first, last)| first..=last);
            assert!(runs.eq(of_group), "{name}, {id:?}");
        }
        let allocated = |block: &dimmer_oracle::memory::Block| match (block.early, block.is_online()) {
            (false, true) => (linux.memory.block_pages() - block.memmap).cast_signed(),
            (true, false) => -linux.memory.block_pages().cast_signed(),
            _ => 0,
        };
        let since_boot: i64 = linux.memory.blocks().values().map(allocated).sum();
        assert_eq!(since_boot, linux.memory.since_boot(), "{name}");
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
