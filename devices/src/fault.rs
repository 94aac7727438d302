//! Faults on demand: what is to go wrong, on which device, and when.
//!
//! A fault waits for the `nth` time that something happens to its device, and then acts on `times`
//! occasions in a row. Nothing is random: the same steps give the same failures. Devices ask
//! [`Faults::hit`] at each point where something can go wrong, and carry out the [`Action`].

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::bus::lock;

mod action;
#[cfg(test)]
mod tests;

pub use action::{Action, ActionName, FaultError};

/// What happens to a memory device and can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// virtio-mem: the driver asks to plug blocks.
    Plug,
    /// virtio-mem: the driver asks to unplug blocks.
    Unplug,
    /// virtio-mem: the driver asks to unplug all blocks.
    UnplugAll,
    /// virtio-mem: the driver asks for the state of blocks.
    State,
    /// The host maps memory for the device.
    Map,
    /// The host adds or deletes a KVM memory slot for the device.
    Slot,
    /// The host takes memory of the device back.
    Discard,
    /// DIMM: the guest asks with `_CRS` for the device's ranges.
    Resources,
    /// DIMM: the host is asked to remove the device.
    Remove,
    /// DIMM: the guest runs `_EJ0`.
    Eject,
    /// The device interrupts the guest: a notification of a DIMM, or the change of a virtio-mem
    /// device's configuration.
    Interrupt,
}

/// One fault: `action` on the `nth` occasion of `on`, and on the following ones, `times` in all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Id of the memory device, which need not be there yet.
    pub device: String,
    /// What the fault waits for.
    pub on: Point,
    /// The first occasion on which it acts, counted from 1, from when it was set.
    #[serde(default = "one")]
    #[schema(minimum = 1, default = 1)]
    pub nth: u64,
    /// The number of occasions on which it acts.
    #[serde(default = "one")]
    #[schema(minimum = 1, default = 1)]
    pub times: u64,
    /// What goes wrong.
    #[serde(rename = "do")]
    pub action: ActionName,
    /// For `delay`: how long, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<u64>,
    /// For `request`: the new requested size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

const fn one() -> u64 {
    1
}

/// A fault that is set, with what has become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FaultStatus {
    /// The fault.
    pub fault: Fault,
    /// Occasions so far.
    pub seen: u64,
    /// Occasions on which it acted.
    pub acted: u64,
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    action: Action,
    seen: u64,
    acted: u64,
}

/// All faults of a machine; none, unless somebody set them.
#[derive(Debug, Default)]
pub struct Faults {
    /// Whether there is a fault at all, so that a machine without faults takes no lock.
    any: AtomicBool,
    armed: Mutex<Vec<Armed>>,
}

impl Faults {
    /// Sets these faults, in place of all earlier ones.
    ///
    /// # Errors
    /// [`FaultError`] for the first one that makes no sense; nothing has changed then.
    pub fn set(&self, faults: Vec<Fault>) -> Result<(), FaultError> {
        self.restore(faults.into_iter().map(|fault| FaultStatus { fault, seen: 0, acted: 0 }).collect())
    }

    /// Sets faults with what has become of them, as [`list`](Self::list) shows them.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn restore(&self, faults: Vec<FaultStatus>) -> Result<(), FaultError> {
        let arm = |FaultStatus { fault, seen, acted }: FaultStatus| {
            Ok(Armed { action: fault.parse()?, fault, seen, acted })
        };
        let armed = faults.into_iter().map(arm).collect::<Result<Vec<_>, FaultError>>()?;
        let mut all = lock(&self.armed);
        self.any.store(!armed.is_empty(), Ordering::Release);
        *all = armed;
        Ok(())
    }

    /// The faults, in the order in which they were set.
    pub fn list(&self) -> Vec<FaultStatus> {
        let status =
            |armed: &Armed| FaultStatus { fault: armed.fault.clone(), seen: armed.seen, acted: armed.acted };
        lock(&self.armed).iter().map(status).collect()
    }

    /// Something happens to `device`: what is to go wrong, if anything. Every fault that waits for
    /// it counts the occasion; of those that would act, the first one does.
    pub fn hit(&self, device: &str, point: Point) -> Option<Action> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let mut action = None;
        for armed in lock(&self.armed).iter_mut() {
            if armed.fault.device != device || armed.fault.on != point {
                continue;
            }
            armed.seen = armed.seen.saturating_add(1);
            let since = armed.seen.checked_sub(armed.fault.nth);
            if action.is_none() && since.is_some_and(|since| since < armed.fault.times) {
                armed.acted = armed.acted.saturating_add(1);
                action = Some(armed.action);
            }
        }
        if let Some(action) = action {
            tracing::info!("fault on {device}: {action:?} on {point:?}");
        }
        action
    }
}
