//! What is to go wrong between a machine and its guest, as far as the model knows what the guest makes of it.

use dimmer_devices::fault::{ActionName, Fault, Point};

/// Faults that are set, each with the occasions that it has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(Vec<(Fault, u64)>);

impl Faults {
    /// None.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Sets these, in place of all earlier ones.
    pub fn set(&mut self, faults: Vec<Fault>) {
        self.0 = faults.into_iter().map(|fault| (fault, 0)).collect();
    }

    /// Something happens to `device`: what goes wrong, if anything. Of several faults the first acts, and all
    /// count the occasion.
    pub fn hit(&mut self, device: &str, point: Point) -> Option<ActionName> {
        let mut action = None;
        for (fault, seen) in &mut self.0 {
            if fault.device == device && fault.on == point {
                *seen += 1;
                let acts = (fault.nth..fault.nth.saturating_add(fault.times)).contains(seen);
                action = action.or(acts.then_some(fault.action));
            }
        }
        action
    }
}

/// Whether the model knows what comes of a fault.
pub const fn is_known(fault: &Fault, is_virtio_mem: bool) -> bool {
    use ActionName::{Busy, Delay, Empty, Error, LateStatus, Lose, Nack, Refuse};
    match fault.on {
        Point::Plug | Point::Unplug => matches!(fault.action, Nack | Busy | Error | Delay),
        Point::Resources => matches!(fault.action, Empty),
        Point::Eject => matches!(fault.action, Refuse | LateStatus),
        Point::Interrupt => is_virtio_mem && matches!(fault.action, Lose),
        _ => false,
    }
}
