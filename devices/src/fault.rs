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

#[cfg(test)]
mod tests;

pub use dimmer_plan::fault::{Action, ActionName, Fault, FaultError, Point};

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
