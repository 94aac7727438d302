//! Which steps have one outcome only.
//!
//! Linux may or may not be able to empty a block in a kernel zone, and drivers that work at the same time
//! may come in any order. Where that could show, the explorer does not go.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::oracle::memory::Block;
use crate::oracle::virtio_mem::{Request, VirtioMem};
use crate::oracle::zone::Zone;
use crate::scenario::{Action, BlockSet, Prediction, Resize};

/// Whether `action` can only end in one way, given the model before it.
pub fn is_exact(before: &Prediction, action: &Action<'_>) -> bool {
    match action {
        Action::Plug(_) | Action::Set(_) | Action::Inject(_) => true,
        Action::Offline(blocks) => {
            before.linux.injected.offline || can_all_be_emptied(before, blocks.0.iter())
        }
        Action::Unplug(id) => {
            let linux = &before.linux;
            let refused = linux.injected.offline || !linux.settings.eject_enabled;
            let dimm = linux.dimms.get(*id);
            refused || dimm.is_none_or(|dimm| can_all_be_emptied(before, dimm.blocks.iter()))
        }
        Action::Resize(resize) => resize_is_exact(before, resize),
        Action::Online(blocks) => online_is_exact(before, &blocks.blocks),
        // The devices grow at the same time, each on a thread of its own.
        Action::Reboot => before.linux.virtio_mem.values().filter(|device| device.requested > 0).count() < 2,
    }
}

fn in_kernel_zone(block: &Block) -> bool {
    block.is_online() && (block.early || block.zone() != Some(Zone::Movable))
}

fn can_all_be_emptied<'a>(before: &Prediction, mut blocks: impl Iterator<Item = &'a u64>) -> bool {
    let all = before.linux.memory.blocks();
    blocks.all(|index| !all.get(index).is_some_and(in_kernel_zone))
}

/// Shrinking must not meet errors, nor take anything out of a block in a kernel zone.
fn resize_is_exact(before: &Prediction, resize: &Resize) -> bool {
    let Some(device) = before.linux.virtio_mem.get(&resize.id) else { return false };
    if resize.to.0 >= device.plugged() {
        return true;
    }
    let mut after = before.clone();
    if before.linux.injected.offline || after.apply(&Action::Resize(resize)).is_err() {
        return false;
    }
    let size = before.linux.memory.block_size();
    let unplugged = new_unplugs(device, &after.linux.virtio_mem);
    let blocks = unplugged.into_iter().flat_map(|bytes| bytes.start / size..bytes.end.div_ceil(size));
    can_all_be_emptied(before, blocks.collect::<Vec<_>>().iter())
}

fn new_unplugs(device: &VirtioMem, after: &BTreeMap<String, VirtioMem>) -> Vec<Range<u64>> {
    let same = after.values().find(|other| other.spec == device.spec);
    let new = same.map_or(&[][..], |same| &same.requests[device.requests.len()..]);
    let unplugged = |request: &Request| match request {
        Request::Unplug(bytes) => Some(bytes.clone()),
        Request::Plug(_) => None,
    };
    new.iter().filter_map(unplugged).collect()
}

/// A virtio-mem device that waits until less memory is offline goes on while further blocks are put
/// online.
fn online_is_exact(before: &Prediction, blocks: &BlockSet) -> bool {
    let waits = before.linux.virtio_mem.values().any(|device| device.requested > device.plugged());
    !waits || blocks.0.len() <= 1
}
