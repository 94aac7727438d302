//! How often what happened.

use std::collections::BTreeMap;

use dimmer_devices::memory::MemoryEvent;
use dimmer_devices::processors::ProcessorEvent;

use super::{MachineEvent, What};

/// `Notify` values and actions that `_OST` reports are about (ACPI 6.5, section 6.3.5).
const SOURCES: [u32; 6] = [0, 1, 3, 0x100, 0x103, 0x200];
/// How that went, as far as a specification says so.
const STATUSES: [u32; 11] = [0, 1, 2, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87];

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events by name.
    pub events: BTreeMap<&'static str, u64>,
    /// `_OST` reports by source and status; `None` stands for all numbers that no specification knows, of which a guest
    /// can say many.
    pub ost: BTreeMap<(Option<u32>, Option<u32>), u64>,
}

impl Tally {
    /// One more.
    pub(super) fn see(&mut self, what: &What) {
        let add = |count: &mut u64| *count = count.saturating_add(1);
        add(self.events.entry(name(what)).or_default());
        if let What::Memory(MemoryEvent::Ost { source, status, .. }) = what {
            let known = |all: &[u32], code: u32| all.contains(&code).then_some(code);
            add(self.ost.entry((known(&SOURCES, *source), known(&STATUSES, *status))).or_default());
        }
    }
}

/// An event's name, as in `GET /events`.
const fn name(what: &What) -> &'static str {
    match what {
        What::Memory(MemoryEvent::Accepted { .. }) => "accepted",
        What::Memory(MemoryEvent::Progress { .. }) => "progress",
        What::Memory(MemoryEvent::Finished { .. }) => "finished",
        What::Memory(MemoryEvent::Ost { .. }) => "ost",
        What::Memory(MemoryEvent::Removed { .. }) => "removed",
        What::Processors(ProcessorEvent::CpusAccepted { .. }) => "cpus_accepted",
        What::Processors(ProcessorEvent::CpusProgress { .. }) => "cpus_progress",
        What::Processors(ProcessorEvent::CpusFinished { .. }) => "cpus_finished",
        What::Processors(ProcessorEvent::CpuOst { .. }) => "cpu_ost",
        What::Machine(MachineEvent::Booting) => "booting",
        What::Machine(MachineEvent::Paused) => "paused",
        What::Machine(MachineEvent::Resumed) => "resumed",
        What::Machine(MachineEvent::Restored) => "restored",
        What::Machine(MachineEvent::Forked { .. }) => "forked",
        What::Machine(MachineEvent::SnapshotTaken { .. }) => "snapshot_taken",
        What::Machine(MachineEvent::Resetting { .. }) => "resetting",
        What::Machine(MachineEvent::PowerButton) => "power_button",
        What::Machine(MachineEvent::Nmi) => "nmi",
        What::Machine(MachineEvent::Watchdog { .. }) => "watchdog",
        What::Machine(MachineEvent::Panicked { .. }) => "panicked",
        What::Machine(MachineEvent::CrashLoaded) => "crash_loaded",
        What::Machine(MachineEvent::MachineCheck { .. }) => "machine_check",
        What::Machine(MachineEvent::Ended { .. }) => "ended",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_cannot_make_more_and_more_kinds_of_reports() {
        let mut tally = Tally::default();
        let ost = |source, status| What::Memory(MemoryEvent::Ost { id: None, slot: None, source, status });
        (0x1000..0x2000).for_each(|code| tally.see(&ost(code, code)));
        tally.see(&ost(1, 0));
        tally.see(&ost(1, 0x84));
        tally.see(&ost(1, 0x999));
        let expected = [
            ((None, None), 0x1000),
            ((Some(1), None), 1),
            ((Some(1), Some(0)), 1),
            ((Some(1), Some(0x84)), 1),
        ];
        assert_eq!(tally.ost, expected.into());
        assert_eq!(tally.events, [("ost", 0x1003)].into());
    }

    #[test]
    fn the_names_are_those_of_the_stream() {
        for what in [
            What::Machine(MachineEvent::PowerButton),
            What::Machine(MachineEvent::CrashLoaded),
            What::Machine(MachineEvent::SnapshotTaken { destination: "/snap".into(), base: None }),
            What::Machine(MachineEvent::Resetting { by_guest: true }),
            What::Memory(MemoryEvent::Ost { id: None, slot: None, source: 0, status: 0 }),
        ] {
            assert_eq!(serde_json::to_value(&what).unwrap()["event"], name(&what));
        }
    }
}
