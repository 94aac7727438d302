//! Which steps have one outcome only.
//!
//! Linux may or may not be able to empty a block in a kernel zone, and drivers that work at the same time
//! may come in any order. The oracle says where the first may be; the second is known here. So is what would
//! never end: while an ejection waits for a page, most of what touches memory waits for the ejection.

use dimmer_oracle::memory::Errno;
use dimmer_oracle::virtio_mem::Request;

use crate::predict::Prediction;
use crate::scenario::{Action, BlockSet, Effect};

/// Whether `action` can only end in one way, given the model before it and what comes of it.
pub fn is_exact(before: &Prediction, action: &Action<'_>, effect: &Effect) -> bool {
    if before.linux.stuck.is_some() {
        return matches!(action, Action::Unpin(_) | Action::Plug(_));
    }
    let races = match action {
        Action::Online(blocks) => online_races(before, &blocks.blocks),
        // The devices grow at the same time, each on a thread of its own.
        Action::Reboot => before.linux.virtio_mem.values().filter(|device| device.requested > 0).count() > 1,
        // Nothing else makes a driver try again.
        Action::Settle => before
            .linux
            .virtio_mem
            .values()
            .any(|device| device.plugged() != device.requested && !device.timer),
        // The write is only interrupted when it is a step `offline`.
        Action::Write(_) => effect.refused.iter().any(|(_, errno)| *errno == Errno::EINTR),
        _ => false,
    };
    effect.open.is_empty() && !races && !gives_back_in_vain(before, effect)
}

/// A driver gives memory back while a notifier refuses. What a release does when memory that it unplugged cannot go offline is
/// for scenarios, not for chance.
fn gives_back_in_vain(before: &Prediction, effect: &Effect) -> bool {
    let gives_back = |request: &Request| matches!(request, Request::Unplug(_));
    before.linux.injected.offline && effect.requests.values().flatten().any(gives_back)
}

/// A virtio-mem device that waits until less memory is offline goes on while further blocks are put
/// online.
fn online_races(before: &Prediction, blocks: &BlockSet) -> bool {
    let waits = before.linux.virtio_mem.values().any(|device| device.requested > device.plugged());
    waits && blocks.0.len() > 1
}
