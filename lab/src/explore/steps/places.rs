//! Random steps with virtio-mem devices that come to places, and go.

use super::{MIB, Moment};
use crate::explore::dice::Dice;
use crate::scenario::{Add, Size, Step};

/// A device comes, with memory or without; or one goes, which mostly has none, since the machine refuses others.
pub(super) fn any(dice: &mut Dice, moment: &Moment<'_>) -> Option<Step> {
    if dice.chance(60) {
        return Some(Step { add: Some(add(dice, moment)), ..Step::default() });
    }
    let linux = &moment.model.linux;
    let id = dice.one_of(&moment.model.in_places().collect::<Vec<_>>())?;
    let goes = linux.virtio_mem[&id].plugged() == 0 && linux.virtio_mem[&id].requested == 0;
    (goes || dice.chance(15)).then(|| Step { remove: Some(id), ..Step::default() })
}

fn add(dice: &mut Dice, moment: &Moment<'_>) -> Add {
    let block = dice.weighted(&[(4, None), (1, Some(4)), (1, Some(128)), (1, Some(256))]);
    let blocks = dice.weighted(&[(2, 0), (1, 1), (2, 2), (2, 4), (1, 7)]);
    let requested = (blocks * moment.model.linux.memory.block_size()).min(moment.room);
    Add {
        id: format!("m{}", moment.number),
        size: dice.chance(30).then(|| Size(dice.number(4..=16) * 256 * MIB)),
        block: block.map(|block| Size(block * MIB)),
        requested: (requested > 0).then_some(Size(requested)),
        node: None,
    }
}
