//! Random steps with memory blocks.

use std::collections::BTreeSet;

use dimmer_oracle::memory::Block;
use dimmer_oracle::zone::Zone;

use super::Moment;
use crate::explore::dice::Dice;
use crate::scenario::{BlockFile, BlockSet, Blocks, OnlineWord, PageWord, Poison, PoisonWord, Step, Write};

pub(super) fn offline(dice: &mut Dice, moment: &Moment<'_>) -> Option<Step> {
    let memory = &moment.model.linux.memory;
    let any = moment.model.linux.injected.offline || dice.chance(10);
    let fits = |zone| zone == Some(Zone::Movable) || any;
    let online = memory.blocks().iter().filter(|(_, block)| block.is_online() && fits(block.zone()));
    let blocks = some(dice, &online.map(|(index, _)| *index).collect::<Vec<_>>())?;
    Some(Step { offline: Some(blocks), ..Step::default() })
}

pub(super) fn online(dice: &mut Dice, moment: &Moment<'_>) -> Option<Step> {
    let offline: Vec<u64> = moment.model.linux.memory.offline_blocks().iter().copied().collect();
    let blocks = some(dice, &offline)?;
    let how = dice.weighted(&[
        (5, OnlineWord::Online),
        (2, OnlineWord::OnlineKernel),
        (2, OnlineWord::OnlineMovable),
    ]);
    Some(Step { online: Some(Blocks { blocks, how }), ..Step::default() })
}

/// A word for a block's file as it is: one that does not fit what the block is may leave something behind.
pub(super) fn write(dice: &mut Dice, moment: &Moment<'_>) -> Option<Step> {
    let memory = &moment.model.linux.memory;
    let plugged = memory.blocks().iter().filter(|(_, block)| !block.early);
    let block = dice.one_of(&plugged.map(|(index, _)| *index).collect::<Vec<_>>())?;
    let (file, word) = dice.weighted(&[
        (3, (BlockFile::Online, "1")),
        (2, (BlockFile::Online, "0")),
        (3, (BlockFile::State, "online_movable")),
        (3, (BlockFile::State, "online_kernel")),
        (1, (BlockFile::State, "online")),
        (1, (BlockFile::State, "offline")),
        (1, (BlockFile::State, "on")),
    ]);
    Some(Step { write: Some(Write { block, file, word: word.to_owned() }), ..Step::default() })
}

/// Most memory of a guest in which a page is pinned: looking for one, the agent asks for all that is free, which a child then
/// has to have for itself.
const MOST_SEARCHED: u64 = 1 << 30;

/// One block that is movable: in others a page may not be free to be pinned.
pub(super) fn pin(dice: &mut Dice, moment: &Moment<'_>) -> Option<Step> {
    let linux = &moment.model.linux;
    if linux.memory.blocks().len() as u64 * linux.memory.block_size() > MOST_SEARCHED {
        return None;
    }
    let is_free = |index: &u64| linux.fixed.range(linux.memory.frames(*index)).next().is_none();
    let movable = linux.memory.blocks().iter();
    let movable = movable.filter(|(index, block)| block.zone() == Some(Zone::Movable) && is_free(index));
    let block = dice.one_of(&movable.map(|(index, _)| *index).collect::<Vec<_>>())?;
    Some(Step { pin: Some(BlockSet([block].into())), ..Step::default() })
}

/// One block of which a page is pinned.
pub(super) fn unpin(dice: &mut Dice, moment: &Moment<'_>) -> Option<Step> {
    let memory = &moment.model.linux.memory;
    let pinned = moment.model.linux.fixed.iter().map(|frame| frame / memory.block_pages());
    let block = dice.one_of(&pinned.collect::<Vec<_>>())?;
    Some(Step { unpin: Some(BlockSet([block].into())), ..Step::default() })
}

/// A page of a block that was plugged: of a movable one, in which nobody uses it, or of one that is offline.
pub(super) fn poison(dice: &mut Dice, moment: &Moment<'_>) -> Option<Step> {
    if !moment.breaks {
        return None;
    }
    let linux = &moment.model.linux;
    let is_whole = |index: u64| {
        linux.virtio_mem.values().all(|device| device.unplugged_pages(|other| other == index) == 0)
    };
    let fits = |block: &Block| !block.is_online() || block.zone() == Some(Zone::Movable);
    let plugged = linux.memory.blocks().iter();
    let plugged = plugged.filter(|(index, block)| !block.early && fits(block) && is_whole(**index));
    let block = dice.one_of(&plugged.map(|(index, _)| *index).collect::<Vec<_>>())?;
    let by = dice.weighted(&[
        (4, PoisonWord::HardOffline),
        (2, PoisonWord::SoftOffline),
        (2, PoisonWord::MachineCheck),
    ]);
    // The machine reports no error of memory that nobody uses.
    let online = linux.memory.blocks()[&block].is_online();
    let by = if online { by } else { PoisonWord::HardOffline };
    Some(Step { poison: Some(Poison { block, by, page: PageWord::Free }), ..Step::default() })
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
