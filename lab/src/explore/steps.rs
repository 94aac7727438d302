//! Random steps, of which many lie at an edge of what the model says. They need not be possible.

use super::dice::Dice;
use super::edges;
use crate::predict::Prediction;
use crate::scenario::{Empty, NotifyWord, Resize, Size, Step};

mod blocks;
mod dax;
mod guest;
mod places;

pub use guest::settings;

const MIB: u64 = 1 << 20;
/// Where there are dax devices, so many percent of the steps are about them; and the same of places.
const DAX: u64 = 12;
const PLACES: u64 = 15;

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
    /// Whether pages may break.
    pub breaks: bool,
}

/// A step, or none when the kind of step that the dice fell on makes no sense now.
pub fn any(dice: &mut Dice, moment: &Moment<'_>) -> Option<Step> {
    if !moment.model.linux.dax.is_empty() && dice.chance(DAX) {
        return dax::dax(dice, moment);
    }
    if moment.model.has_places() && dice.chance(PLACES) {
        return places::any(dice, moment);
    }
    let make = dice.weighted::<fn(&mut Dice, &Moment<'_>) -> Option<Step>>(&[
        (22, plug),
        (10, unplug),
        (5, eject),
        (26, resize),
        (11, blocks::offline),
        (12, blocks::online),
        (5, blocks::write),
        (2, blocks::pin),
        (4, blocks::unpin),
        (6, blocks::poison),
        (12, guest::set),
        (4, guest::inject),
        (3, guest::fault),
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
        33..=40 => {
            plug.size = Some(Size(dice.number(1..=3) * block));
            plug.count = dice.chance(50).then_some(2);
            plug.id.push_str(if plug.count.is_some() { "-" } else { "" });
            plug.notify = dice.weighted(&[(1, NotifyWord::None), (2, NotifyWord::BusCheck)]);
        }
        _ => plug.size = Some(Size(size)),
    }
    Some(Step { plug: Some(plug), ..Step::default() })
}

fn unplug(dice: &mut Dice, moment: &Moment<'_>) -> Option<Step> {
    let all: Vec<String> = moment.model.dimms().map(str::to_owned).collect();
    Some(Step { unplug: Some(dice.one_of(&all)?), ..Step::default() })
}

/// As [`unplug`], but the guest begins, which it only can with a device that its driver is bound to.
fn eject(dice: &mut Dice, moment: &Moment<'_>) -> Option<Step> {
    let bound: Vec<String> = moment.model.linux.dimms.keys().cloned().collect();
    Some(Step { eject: Some(dice.one_of(&bound)?), ..Step::default() })
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
