//! The guest's side: what it reports with `_OST`, and that it lets a processor go.

use super::{ProcessorEvent, ProcessorSlots};
use crate::hotplug::ost::{Report, Subject};
use crate::hotplug::phase::Step;
use crate::memory::{Last, Outcome};

impl ProcessorSlots {
    /// The guest ran `_OST` of the processor `number`.
    pub(super) fn report(&mut self, number: u16, source: u32, status: u32) {
        self.tell(ProcessorEvent::CpuOst { cpu: number, source, status });
        let report = Report::decode(Subject::Processor, source, status);
        let slot = self.slot(number);
        if report.ends_ejection() {
            slot.owes = false;
        }
        let step = slot.phase.as_mut().map_or(Step::Silent, |phase| phase.report(report));
        match step {
            Step::Silent => {}
            Step::Progress => self.tell(ProcessorEvent::CpusProgress { cpus: self.status() }),
            Step::Finished(last) => self.settled(last),
        }
        self.pursue();
    }

    /// One has come or stayed.
    fn settled(&mut self, last: Last) {
        if let (Some(change), Outcome::Refused) = (&mut self.change, last.outcome) {
            change.reason = last.reason;
        }
        self.tell(ProcessorEvent::CpusProgress { cpus: self.status() });
    }

    /// The guest ran `_EJ0`, or wrote what that writes: the boot processor stays all the same, and one that is not there is
    /// none that could go.
    pub(super) fn eject(&mut self, number: u16) {
        if number == 0 || !self.is_present(number) {
            return;
        }
        self.outside.seats.leave(number);
        let slot = self.slot(number);
        (slot.phase, slot.owes) = (None, true);
        self.tell(ProcessorEvent::CpusProgress { cpus: self.status() });
        self.pursue();
    }
}
