//! Where an answer changes: the sizes and ratios at which the model says Movable for the last time.
//!
//! They are found by asking the model, not by the rules' arithmetic: what the rules are is its business.

use dimmer_oracle::memory::Memory;
use dimmer_oracle::release::Release;
use dimmer_oracle::zone::{PAGE, Zone};

use super::dice::Dice;
use crate::predict::Prediction;
use crate::scenario::{Action, Guest, Machine, NotifyWord, Parameters, Plug, Resize, Scenario, Size};

/// Bytes of the smallest memory block.
const BLOCK: u64 = 128 << 20;
/// Most boot memory of an explored machine.
const MOST_RAM: u64 = 2 << 30;

/// The largest number of `range` for which `holds` is true, which is true up to some number and false from
/// there on; `None` when it is never true.
fn last(range: std::ops::RangeInclusive<u64>, mut holds: impl FnMut(u64) -> bool) -> Option<u64> {
    let (mut low, mut high) = (*range.start(), *range.end());
    if !holds(low) {
        return None;
    }
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if holds(middle) { low = middle } else { high = middle - 1 }
    }
    Some(low)
}

/// Boot memory at which a DIMM of some blocks is movable for the first time, or a page less.
pub fn ram(dice: &mut Dice, guest: &Guest, release: Release) -> Option<u64> {
    let blocks = dice.number(2..=12);
    let movable = |pages: u64| {
        let machine = Machine {
            memory: format!("size={},low=2G", Size(pages * PAGE)),
            memory_hotplug: vec!["method=acpi,slots=1,size=64G".to_owned()],
            ..Machine::default()
        };
        let scenario = Scenario {
            shows: String::new(),
            kernels: Vec::new(),
            machine,
            guest: guest.clone(),
            steps: Vec::new(),
        };
        let model = Prediction::new(&scenario, release).ok();
        model.is_some_and(|model| dimm_is_movable(&model, blocks, 0))
    };
    let pages = last(256 << 20 >> 12..=MOST_RAM / PAGE, |pages| !movable(pages))?;
    let exact = u64::from(dice.chance(65));
    Some((pages + exact).min(MOST_RAM / PAGE) * PAGE)
}

/// Whether a DIMM of this many blocks would be online in the movable zone.
fn dimm_is_movable(model: &Prediction, blocks: u64, node: u32) -> bool {
    let size = Some(Size(blocks * model.linux.memory.block_size()));
    let plug = Plug { size, ..dimm("edge", node) };
    let mut model = model.clone();
    let before = all_movable(&model.linux.memory);
    model.apply(&Action::Plug(&plug)).is_ok() && all_movable(&model.linux.memory) == before + blocks
}

/// A DIMM of no size.
pub fn dimm(id: &str, node: u32) -> Plug {
    Plug {
        id: id.to_owned(),
        count: None,
        size: None,
        ranges: None,
        descending: false,
        unaligned: false,
        node,
        start: None,
        align: None,
        notify: NotifyWord::default(),
    }
}

fn all_movable(memory: &Memory) -> u64 {
    memory.blocks().values().filter(|block| block.zone() == Some(Zone::Movable)).count() as u64
}

/// Bytes of the largest DIMM that would be movable.
pub fn dimm_size(model: &Prediction, node: u32, most: u64) -> Option<u64> {
    let size = model.linux.memory.block_size().max(BLOCK);
    Some(last(1..=most / size, |blocks| dimm_is_movable(model, blocks, node))? * size)
}

/// The largest requested size of a virtio-mem device at which nothing more of it is in a kernel zone.
pub fn requested(model: &Prediction, id: &str, most: u64) -> Option<u64> {
    let device = model.linux.virtio_mem.get(id)?;
    let (unit, now) = (device.spec.block_size.max(BLOCK), device.plugged());
    let kernel = |model: &Prediction| {
        let blocks = model.linux.memory.blocks().values();
        blocks.filter(|block| block.zone().is_some_and(|zone| zone != Zone::Movable)).count()
    };
    let before = kernel(model);
    let stays = |units: u64| {
        let (mut model, to) = (model.clone(), Size(units * unit));
        let resize = Resize { id: id.to_owned(), to };
        model.apply(&Action::Resize(&resize)).is_ok() && kernel(&model) == before
    };
    let from = now.div_ceil(unit);
    (from <= most / unit).then(|| last(from..=most / unit, stays))?.map(|units| units * unit)
}

/// The largest ratio at which the next block of `node` would not be movable.
pub fn ratio(model: &Prediction, node: u32) -> Option<u32> {
    let stays = |ratio: u64| {
        let mut model = model.clone();
        let ratio = u32::try_from(ratio).ok();
        let set = Parameters { auto_movable_ratio: ratio, ..Parameters::default() };
        model.apply(&Action::Set(&set)).is_ok() && !dimm_is_movable(&model, 1, node)
    };
    last(0..=2000, stays).and_then(|ratio| u32::try_from(ratio).ok())
}
