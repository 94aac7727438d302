//! Random steps, of which many lie at an edge of what the model says. They need not be possible.

use std::collections::BTreeSet;

use super::dice::Dice;
use super::{edges, machine};
use crate::oracle::zone::Zone;
use crate::scenario::{
    BlockSet, Blocks, Empty, Inject, OnlineWord, Parameters, PolicyWord, Prediction, Resize, Size, Step,
};

const MIB: u64 = 1 << 20;

/// What the next step is to be made from.
#[derive(Debug)]
pub struct Moment<'a> {
    /// The model before the step.
    pub model: &'a Prediction,
    /// The number of the step, for names.
    pub number: usize,
    /// How many nodes there are.
    pub nodes: u64,
    /// Bytes that may still be plugged.
    pub room: u64,
}

/// A step, or none when the kind of step that the dice fell on makes no sense now.
pub fn any(dice: &mut Dice, moment: &Moment<'_>) -> Option<Step> {
    let make = dice.weighted::<fn(&mut Dice, &Moment<'_>) -> Option<Step>>(&[
        (22, plug),
        (12, unplug),
        (26, resize),
        (11, offline),
        (12, online),
        (12, set),
        (4, inject),
        (1, |_, _| Some(Step { reboot: Some(Empty {}), ..Step::default() })),
    ]);
    make(dice, moment)
}

fn plug(dice: &mut Dice, moment: &Moment<'_>) -> Option<Step> {
    let block = moment.model.linux.memory.block_size();
    let node = u32::try_from(dice.number(0..=moment.nodes - 1)).ok()?;
    let mut plug = edges::dimm(&format!("d{}", moment.number), node);
    let edge = dice.chance(35).then(|| edges::dimm_size(moment.model, node, moment.room));
    let blocks = dice.weighted(&[(3, 1), (3, 2), (3, 3), (3, 4), (2, 6), (3, 8), (1, 16)]);
    let size = edge.flatten().map_or(blocks * block, |edge| edge + dice.number(0..=1) * block);
    match dice.number(1..=100) {
        1..=14 => {
            let ranges = (0..dice.number(2..=3)).map(|_| {
                let gap = dice.number(0..=2) * block;
                format!("{}~{}", Size(dice.number(1..=3) * block), Size(gap))
            });
            plug.ranges = Some(ranges.collect::<Vec<_>>().join("+"));
            plug.descending = dice.chance(40);
        }
        15..=18 => {
            plug.size = Some(Size(size / 2 + 64 * MIB));
            plug.unaligned = true;
        }
        19..=32 => {
            plug.size = Some(Size(dice.number(1..=2) * block));
            plug.count = Some(dice.weighted(&[(2, 2), (2, 3), (1, 5)]));
            plug.id.push('-');
        }
        _ => plug.size = Some(Size(size)),
    }
    Some(Step { plug: Some(plug), ..Step::default() })
}

fn unplug(dice: &mut Dice, moment: &Moment<'_>) -> Option<Step> {
    let all: Vec<String> = moment.model.dimms().map(str::to_owned).collect();
    Some(Step { unplug: Some(dice.one_of(&all)?), ..Step::default() })
}

fn resize(dice: &mut Dice, moment: &Moment<'_>) -> Option<Step> {
    let ids: Vec<String> = moment.model.linux.virtio_mem.keys().cloned().collect();
    let id = dice.one_of(&ids)?;
    let device = &moment.model.linux.virtio_mem[&id];
    let (unit, now) = (device.spec.block_size, device.plugged());
    let most = (device.spec.region.end - device.spec.region.start).min(now + moment.room);
    let block = moment.model.linux.memory.block_size().max(unit);
    let part = dice.number(1..=(block / unit).max(2) - 1) * unit;
    let to = match dice.number(1..=20) {
        1 | 2 => 0,
        3 => most,
        4..=8 => edges::requested(moment.model, &id, most)? + [0, part, block][edge_index(dice)],
        9..=11 => now.saturating_sub(dice.number(1..=8) * block),
        12 | 13 => now.saturating_sub(part),
        14 | 15 => now + part,
        16 => now / 2,
        17 => dice.number(0..=most / unit) * unit,
        _ => now + dice.number(1..=12) * block,
    };
    let to = Size(to.min(most) / unit * unit);
    Some(Step { resize: Some(Resize { id, to }), ..Step::default() })
}

fn edge_index(dice: &mut Dice) -> usize {
    dice.weighted(&[(1, 0), (1, 1), (1, 2)])
}

fn offline(dice: &mut Dice, moment: &Moment<'_>) -> Option<Step> {
    let memory = &moment.model.linux.memory;
    let any = moment.model.linux.injected.offline || dice.chance(10);
    let fits = |zone| zone == Some(Zone::Movable) || any;
    let online = memory.blocks().iter().filter(|(_, block)| block.is_online() && fits(block.zone()));
    let blocks = some(dice, &online.map(|(index, _)| *index).collect::<Vec<_>>())?;
    Some(Step { offline: Some(blocks), ..Step::default() })
}

fn online(dice: &mut Dice, moment: &Moment<'_>) -> Option<Step> {
    let offline: Vec<u64> = moment.model.linux.memory.offline_blocks().iter().copied().collect();
    let blocks = some(dice, &offline)?;
    let how = dice.weighted(&[
        (5, OnlineWord::Online),
        (2, OnlineWord::OnlineKernel),
        (2, OnlineWord::OnlineMovable),
    ]);
    Some(Step { online: Some(Blocks { blocks, how }), ..Step::default() })
}

/// Some blocks of `all`: one, often the first or the last, or a few neighbours, or all of them.
fn some(dice: &mut Dice, all: &[u64]) -> Option<BlockSet> {
    let last = all.len().checked_sub(1)?;
    let index = |dice: &mut Dice| usize::try_from(dice.number(0..=last as u64)).unwrap_or(0);
    let range = match dice.number(1..=10) {
        1 | 2 => 0..=0,
        3 | 4 => last..=last,
        5 | 6 => 0..=last,
        7 => {
            let one = index(dice);
            one..=one
        }
        _ => {
            let first = index(dice);
            first..=(first + index(dice).min(8)).min(last)
        }
    };
    Some(BlockSet(all[range].iter().copied().collect::<BTreeSet<_>>()))
}

/// All parameters at once.
pub fn settings(dice: &mut Dice) -> Step {
    let contig = dice.chance(25);
    let set = Parameters {
        online_policy: Some(if contig { PolicyWord::ContigZones } else { PolicyWord::AutoMovable }),
        auto_movable_ratio: Some(machine::ratio(dice)),
        auto_movable_numa_aware: Some(dice.chance(60)),
        auto_online_blocks: Some(machine::online_word(dice)),
        acpi_eject: None,
        hwpoison_filter_dev_major: None,
    };
    Step { set: Some(set), ..Step::default() }
}

fn set(dice: &mut Dice, moment: &Moment<'_>) -> Option<Step> {
    let mut set = Parameters::default();
    match dice.number(1..=12) {
        1..=4 => {
            let node = u32::try_from(dice.number(0..=moment.nodes - 1)).ok()?;
            let edge = edges::ratio(moment.model, node)?;
            set.auto_movable_ratio = Some(edge + dice.weighted(&[(1, 0), (1, 1)]));
        }
        5 | 6 => set.auto_movable_ratio = Some(machine::ratio(dice)),
        7 | 8 => {
            let contig = dice.chance(40);
            set.online_policy = Some(if contig { PolicyWord::ContigZones } else { PolicyWord::AutoMovable });
        }
        9 => set.auto_movable_numa_aware = Some(dice.chance(50)),
        10 | 11 => set.auto_online_blocks = Some(machine::online_word(dice)),
        _ => set.acpi_eject = Some(dice.chance(60)),
    }
    Some(Step { set: Some(set), ..Step::default() })
}

fn inject(dice: &mut Dice, moment: &Moment<'_>) -> Option<Step> {
    let now = moment.model.linux.injected;
    let clear = now.offline || now.online;
    let inject = Inject { going_offline: !clear && dice.chance(60), going_online: !clear && dice.chance(50) };
    Some(Step { inject: Some(inject), ..Step::default() })
}
