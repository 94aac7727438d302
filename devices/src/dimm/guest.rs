//! What the guest reports with `_OST`, and what follows from it.

use super::DimmSlots;
use crate::hotplug::ost::{self, Report, Subject};
use crate::hotplug::phase::Step;
use crate::memory::MemoryEvent;

impl DimmSlots {
    /// The guest ran `_OST` of the memory device in `slot`.
    pub(super) fn report(&mut self, slot: u16, source: u32, status: u32) {
        let report = Report::decode(Subject::Memory, source, status);
        let id = self.slot(slot).about().map(str::to_owned);
        self.log.slot(slot, id.clone(), source, status);
        self.tell(MemoryEvent::Ost { id, slot: Some(slot), source, status });
        self.follow_ejection(slot, &report);
        self.slot(slot).reported(&report, ost::answers_request(source));
        match self
            .slot(slot)
            .occupant
            .as_ref()
            .map(|occupant| (occupant.is_shown(), occupant.delayed.is_some()))
        {
            // What is said before an ejection takes effect does not change that it will.
            None | Some((true, true)) => {}
            Some((false, _)) => self.announce(slot),
            Some((true, false)) => self.advance(slot, report),
        }
    }

    /// The guest ran `_OST` of the container.
    pub(super) fn report_container(&mut self, source: u32, status: u32) {
        let report = Report::decode_bus_check(source, status);
        let slots = if report.ends_check() { self.bus_checks.answered() } else { Vec::new() };
        let ids = slots.iter().map(|slot| self.occupant(*slot).dimm.id.clone()).collect();
        self.log.container(source, status, ids);
        self.tell(MemoryEvent::Ost { id: None, slot: None, source, status });
        for slot in slots {
            self.advance(slot, report.clone());
        }
    }

    /// Linux works on one notification after the other, so an ejection that has begun holds up the
    /// others until it ends.
    fn follow_ejection(&mut self, slot: u16, report: &Report) {
        if *report == Report::EjectStarted && self.slot(slot).shown().is_some() {
            self.ejecting = Some(slot);
        } else if report.ends_ejection() && self.ejecting == Some(slot) {
            self.ejecting = None;
        }
    }

    fn advance(&mut self, slot: u16, report: Report) {
        match self.occupant(slot).phase.report(report) {
            Step::Silent => {}
            Step::Progress => self.tell(MemoryEvent::Progress { device: self.status_in(slot) }),
            Step::Finished(last) => self.finish(slot, last),
        }
    }
}
