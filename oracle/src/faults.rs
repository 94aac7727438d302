//! What is to go wrong between a machine and its guest, as far as the model knows what the guest makes of it.

/// What happens to a memory device and can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The driver of a virtio-mem device asks to plug blocks.
    Plug,
    /// It asks to unplug blocks.
    Unplug,
    /// It asks to unplug all blocks.
    UnplugAll,
    /// The guest reads a DIMM's ranges (`_CRS`).
    Resources,
    /// The guest ejects a DIMM (`_EJ0`).
    Eject,
    /// A virtio-mem device tells its driver that it wants another size.
    Interrupt,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// A request is answered with NACK.
    Nack,
    /// A request is answered with BUSY.
    Busy,
    /// A request is answered with ERROR.
    Error,
    /// A request is answered late, as it would have been.
    Delay,
    /// A DIMM shows no ranges.
    Empty,
    /// A DIMM stays in its slot although it was ejected.
    Refuse,
    /// A DIMM that was ejected shows as present for a while.
    LateStatus,
    /// The interrupt does not come.
    Lose,
}

/// A failure on the `nth` occasion of `on`, counted from 1, and on the following ones, `times` in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The device's name.
    pub device: String,
    /// What it waits for.
    pub on: Point,
    /// The first occasion on which it acts.
    pub nth: u64,
    /// The number of occasions on which it acts.
    pub times: u64,
    /// What goes wrong.
    pub failure: Failure,
}

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

    /// Whether something would go wrong the next time that this happens to `device`.
    pub fn would_hit(&self, device: &str, point: Point) -> bool {
        self.clone().hit(device, point).is_some()
    }

    /// How many occasions each has seen, in the order in which they were set.
    pub fn occasions(&self) -> Vec<u64> {
        self.0.iter().map(|(_, seen)| *seen).collect()
    }

    /// Something happens to `device`: what goes wrong, if anything. Of several faults the first acts, and all
    /// count the occasion.
    pub fn hit(&mut self, device: &str, point: Point) -> Option<Failure> {
        let mut failure = None;
        for (fault, seen) in &mut self.0 {
            if fault.device == device && fault.on == point {
                *seen += 1;
                let acts = (fault.nth..fault.nth.saturating_add(fault.times)).contains(seen);
                failure = failure.or(acts.then_some(fault.failure));
            }
        }
        failure
    }
}
