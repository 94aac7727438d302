//! Processors that come and go while the guest runs (ACPI 6.5, section 8.4).
//!
//! The host asks for a number of processors; the guest is told of each one that comes or is to go, reports with `_OST`, and lets
//! go with `_EJ0`, as with memory devices ([`crate::hotplug`]). The lowest numbers that are free come, the highest go, and
//! number 0, which the guest booted on, stays. A change is *done* when the guest has taken, or let go, as many as it was asked
//! for; what it refuses is not asked for again before the next change. That it has taken a processor does not mean that it
//! runs programs there: Linux leaves it to its user to bring it online.
//!
//! `_EJ0` takes effect at once: when the register write returns, the processor runs no further instruction and `_STA` is 0. It does
//! not come again before the guest has reported the end of its going.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ged::Ged;
use crate::hotplug::{Phase, Taken};
use crate::memory::{Last, State};

mod change;
mod guest;
mod registers;
mod state;
#[cfg(test)]
mod tests;

pub use registers::Selectors;
pub use state::{ChangeState, ProcessorSlotsState, SlotState};

/// Where processors sit: what the host does with them.
pub trait Seats: Send + Sync + std::fmt::Debug {
    /// Lets the processor with this number run, as soon as the guest starts it.
    fn arrive(&self, number: u16);

    /// Keeps it from running: it runs no further instruction when this returns.
    fn leave(&self, number: u16);
}

/// What can be said of the processors from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProcessorsStatus {
    /// Most processors that the machine can have.
    pub max: u16,
    /// How many the guest was asked to have.
    pub requested: u16,
    /// How many it has.
    pub plugged: u16,
    /// Whether processors are on their way in or out.
    pub state: State,
    /// How the latest change ended; nothing before the first one ended.
    pub last: Option<Last>,
}

/// Something the processors tell the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ProcessorEvent {
    /// A change was accepted and the guest was asked.
    CpusAccepted {
        /// The state right after.
        cpus: ProcessorsStatus,
    },
    /// One came or went.
    CpusProgress {
        /// The state right after.
        cpus: ProcessorsStatus,
    },
    /// A change ended; `cpus.last` says how.
    CpusFinished {
        /// The state right after.
        cpus: ProcessorsStatus,
    },
    /// The guest reported `_OST` of a processor (ACPI 6.5, section 6.3.5).
    CpuOst {
        /// Its number.
        cpu: u16,
        /// `_OST` argument 0.
        source: u32,
        /// `_OST` argument 1.
        status: u32,
    },
}

/// Where their events go; must not block and must not call back.
pub trait ProcessorSink: Send + Sync + std::fmt::Debug {
    /// Takes one event.
    fn processors(&self, event: ProcessorEvent);
}

/// A number of processors that cannot be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {max}")]
pub struct BadCount {
    /// Most processors that the machine can have.
    pub max: u16,
}

/// What the processors reach outside themselves.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// What interrupts the guest.
    pub ged: Arc<Mutex<Ged>>,
    /// What lets processors run.
    pub seats: Arc<dyn Seats>,
    /// Where events go.
    pub events: Arc<dyn ProcessorSink>,
}

/// All processors that there can be, with the register block that the guest sees of them.
///
/// Every method runs with the lock of the whole set held, takes the [`Ged`]'s lock inside it, and calls the host inside it.
#[derive(Debug)]
pub struct ProcessorSlots {
    slots: Vec<Slot>,
    requested: u16,
    /// The change that is under way.
    change: Option<Underway>,
    last: Option<Last>,
    /// Number and `Notify` value, oldest first; each at most once.
    notifications: VecDeque<(u16, u32)>,
    selectors: Selectors,
    outside: Surroundings,
}

/// The place of one processor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Slot {
    /// Where it is on its way in or out, if it is there.
    phase: Option<Phase>,
    /// Whether the guest still has to report the end of its going.
    owes: bool,
    /// Whether the guest was asked to take it or let it go, for the change that is under way.
    asked: bool,
}

/// A change of their number.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Underway {
    /// How many there were.
    before: u16,
    /// What the guest refused last.
    reason: Option<String>,
}

impl Slot {
    /// One that the guest has.
    const PLUGGED: Self =
        Self { phase: Some(Phase { taken: Taken::Plugged, leaving: false }), owes: false, asked: false };

    fn is(&self, taken: Taken) -> bool {
        self.phase.is_some_and(|phase| phase.taken == taken)
    }

    fn is_leaving(&self) -> bool {
        self.phase.is_some_and(|phase| phase.leaving)
    }

    /// Whether it is there and is to stay.
    fn stays(&self) -> bool {
        self.phase.is_some_and(|phase| !phase.leaving)
    }
}

impl ProcessorSlots {
    /// Processors 0 up to `boot` are there, and those up to `max` can come; `boot` is 1 to `max`.
    pub fn new(boot: u16, max: u16, outside: Surroundings) -> Self {
        let slot = |number| if number < boot { Slot::PLUGGED } else { Slot::default() };
        Self {
            slots: (0..max).map(slot).collect(),
            requested: boot,
            change: None,
            last: None,
            notifications: VecDeque::new(),
            selectors: Selectors::default(),
            outside,
        }
    }

    /// What can be said of them.
    pub fn status(&self) -> ProcessorsStatus {
        let offered = self.slots.iter().any(|slot| slot.stays() && slot.is(Taken::Offered));
        let leaving = self.slots.iter().any(Slot::is_leaving);
        let state = match (leaving, offered || self.change.is_some()) {
            (true, _) => State::Unplugging,
            (false, true) => State::Plugging,
            (false, false) => State::Plugged,
        };
        let count = |number: usize| u16::try_from(number).expect("fewer processors than numbers");
        ProcessorsStatus {
            max: count(self.slots.len()),
            requested: self.requested,
            plugged: self.plugged(),
            state,
            last: self.last.clone(),
        }
    }

    /// Whether the processor with this number is there.
    pub fn is_present(&self, number: u16) -> bool {
        self.slots.get(usize::from(number)).is_some_and(|slot| slot.phase.is_some())
    }

    /// How many the guest has.
    fn plugged(&self) -> u16 {
        self.count(|slot| slot.is(Taken::Plugged))
    }

    fn count(&self, which: impl Fn(&Slot) -> bool) -> u16 {
        let number = self.slots.iter().filter(|slot| which(slot)).count();
        u16::try_from(number).expect("fewer processors than numbers")
    }

    /// Their numbers, ascending.
    fn numbers(&self) -> std::ops::Range<u16> {
        0..self.count(|_| true)
    }

    fn slot(&mut self, number: u16) -> &mut Slot {
        &mut self.slots[usize::from(number)]
    }

    fn tell(&self, event: ProcessorEvent) {
        self.outside.events.processors(event);
    }
}
