//! Random steps with dax devices.

use super::Moment;
use crate::explore::dice::Dice;
use crate::scenario::{Dax, DriverWord, Step};

/// Another driver for a device, or the same one again, at times with a word on where the memmap is to lie. What is online
/// stays behind then, and the device with it until a reset: that is rare, where all of it may go.
pub(super) fn dax(dice: &mut Dice, moment: &Moment<'_>) -> Option<Step> {
    let linux = &moment.model.linux;
    let id = dice.one_of(&linux.dax.keys().cloned().collect::<Vec<_>>())?;
    let online = |index: u64| linux.memory.blocks().get(&index).is_some_and(|block| block.is_online());
    if linux.dax[&id].blocks().any(online) && !dice.chance(15) {
        return None;
    }
    let driver = dice.weighted(&[(6, DriverWord::Kmem), (2, DriverWord::None), (1, DriverWord::DeviceDax)]);
    let says = linux.release.has_memmap_on_memory_of_dax() && dice.chance(30);
    let memmap_on_memory = says.then(|| dice.chance(70));
    Some(Step { dax: Some(Dax { id, driver, memmap_on_memory }), ..Step::default() })
}
