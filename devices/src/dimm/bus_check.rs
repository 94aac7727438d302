//! Bus checks of the container, and which devices each of them is about.
//!
//! Linux answers a bus check once, with the container's `_OST`, after it has looked at every slot. So
//! an answer is about the devices that were visible before the guest fetched the notification,
//! and about no other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Bus checks so far, each with its number, counted from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusChecks {
    queued: u64,
    fetched: u64,
    answered: u64,
    /// Slot to the number of the bus check whose answer it waits for.
    waiting: BTreeMap<u16, u64>,
}

impl BusChecks {
    /// The next bus check is about `slots`, too. Returns whether it has to be queued: not when it
    /// still waits to be fetched.
    pub(super) fn ask(&mut self, slots: impl IntoIterator<Item = u16>) -> bool {
        let new = self.queued == self.fetched;
        if new {
            self.queued = self.queued.saturating_add(1);
        }
        self.waiting.extend(slots.into_iter().map(|slot| (slot, self.queued)));
        new
    }

    /// The guest has fetched the notification.
    pub(super) const fn fetched(&mut self) {
        self.fetched = self.queued;
    }

    /// The guest has answered the oldest open bus check: the slots that it was about, ascending. None
    /// when the guest has nothing to answer.
    pub(super) fn answered(&mut self) -> Vec<u16> {
        if self.answered == self.fetched {
            return Vec::new();
        }
        self.answered = self.answered.saturating_add(1);
        let due = |check: u64| check <= self.answered;
        let slots: Vec<_> =
            self.waiting.iter().filter(|(_, check)| due(**check)).map(|(slot, _)| *slot).collect();
        self.waiting.retain(|_, check| !due(*check));
        slots
    }

    /// The slots that wait for an answer.
    pub(super) fn slots(&self) -> impl Iterator<Item = u16> {
        self.waiting.keys().copied()
    }

    /// The device in `slot` is gone.
    pub(super) fn forget(&mut self, slot: u16) {
        self.waiting.remove(&slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bus_check_that_waits_takes_more_devices_in() {
        let mut checks = BusChecks::default();
        assert!(checks.ask([2]));
        assert!(!checks.ask([0, 5]));
        assert_eq!(checks.answered(), [0; 0], "not fetched yet");
        checks.fetched();
        assert_eq!(checks.answered(), [0, 2, 5]);
        assert_eq!(checks.answered(), [0; 0]);
    }

    #[test]
    fn an_answer_is_about_the_devices_of_its_own_bus_check() {
        let mut checks = BusChecks::default();
        checks.ask([0, 1]);
        checks.fetched();
        assert!(checks.ask([2]), "a fetched one takes no more in");
        checks.fetched();
        checks.forget(0);
        assert_eq!(checks.answered(), [1]);
        assert_eq!(checks.answered(), [2]);
        assert_eq!(checks.answered(), [0; 0]);
    }
}
