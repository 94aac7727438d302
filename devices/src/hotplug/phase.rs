//! The state machine of one device in a slot, without the slot.
//!
//! ```text
//!   add ──▶ Offered ──(1,0)──▶ Plugged ◀──(1,0)── Declined ◀──(1,≠0)── Offered
//!
//!   each of the three ──remove, or (3,0x84) of the guest's own accord──▶ the same, leaving
//!   each of the three, leaving ──(3,≠0) or (0x103,≠0): refused──▶ the same, staying
//!   each of the six ──_EJ0──▶ gone
//! ```
//!
//! `_OST` arguments stand in parentheses; `3,0x84` (in progress) is no refusal. "Leaving" is kept
//! apart from whether the guest took the device, because notifications are answered in order: a
//! device can be asked to go before the guest reported that it came.

use serde::{Deserialize, Serialize};

use super::ost::Report;
use crate::memory::{Last, State};

/// Whether the guest took the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Taken {
    /// It did not say yet.
    Offered,
    /// It said that it could not, or it let the device go and the host could not take it back.
    Declined,
    /// It did.
    Plugged,
}

/// Where a device is on its way in or out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Whether the guest took it.
    pub taken: Taken,
    /// Whether the guest is to let it go, or is doing so by itself.
    pub leaving: bool,
}

/// What the world is told after a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing that shows.
    Silent,
    /// Something changed on the way.
    Progress,
    /// The change that was under way ended.
    Finished(Last),
}

/// What a device is refused with whose guest reports the end of an ejection that never was.
const NOT_EJECTED: &str = "failed: the guest reported success but did not eject the device";

impl Phase {
    /// A device that was just put into its slot.
    pub(crate) const OFFERED: Self = Self { taken: Taken::Offered, leaving: false };

    /// The state that the world sees.
    pub(crate) const fn state(self) -> State {
        match (self.leaving, self.taken) {
            (true, _) => State::Unplugging,
            (false, Taken::Offered) => State::Plugging,
            (false, Taken::Declined) => State::Idle,
            (false, Taken::Plugged) => State::Plugged,
        }
    }

    /// The guest reported something about the device.
    pub(crate) fn report(&mut self, report: Report) -> Step {
        match report {
            Report::Checked => self.checked(),
            Report::CheckFailed(reason) => self.check_failed(reason),
            Report::EjectStarted if !self.leaving => {
                self.leaving = true;
                Step::Progress
            }
            Report::Ejected => self.stay(NOT_EJECTED.to_owned()),
            Report::EjectFailed(reason) => self.stay(reason),
            Report::EjectStarted | Report::Other => Step::Silent,
        }
    }

    fn checked(&mut self) -> Step {
        let before = std::mem::replace(&mut self.taken, Taken::Plugged);
        match (before, self.leaving) {
            (Taken::Plugged, _) => Step::Silent,
            (_, true) => Step::Progress,
            (_, false) => Step::Finished(Last::done()),
        }
    }

    fn check_failed(&mut self, reason: String) -> Step {
        if self.taken != Taken::Offered {
            return Step::Silent;
        }
        self.taken = Taken::Declined;
        if self.leaving { Step::Silent } else { Step::Finished(Last::refused(reason)) }
    }

    fn stay(&mut self, reason: String) -> Step {
        if !std::mem::take(&mut self.leaving) {
            return Step::Silent;
        }
        Step::Finished(Last::refused(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hotplug::ost::Subject;
    use crate::memory::Outcome;

    const TAKEN: [Taken; 3] = [Taken::Offered, Taken::Declined, Taken::Plugged];

    /// One letter per phase, upper case while leaving.
    fn letter(phase: Phase) -> char {
        let letter = match phase.taken {
            Taken::Offered => 'o',
            Taken::Declined => 'd',
            Taken::Plugged => 'p',
        };
        if phase.leaving { letter.to_ascii_uppercase() } else { letter }
    }

    fn step(step: &Step) -> &'static str {
        match step {
            Step::Silent => "-",
            Step::Progress => "progress",
            Step::Finished(Last { outcome: Outcome::Done, .. }) => "done",
            Step::Finished(_) => "refused",
        }
    }

    fn row(source: u32, status: u32) -> String {
        let phases =
            TAKEN.into_iter().flat_map(|taken| [false, true].map(|leaving| Phase { taken, leaving }));
        let cells = phases.map(|mut phase| {
            let before = letter(phase);
            let told = phase.report(Report::decode(Subject::Memory, source, status));
            format!("{before}→{} {}", letter(phase), step(&told))
        });
        cells.collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn every_report_in_every_phase() {
        for (source, status, expected) in [
            (0, 0, "o→o - | O→O - | d→d - | D→D - | p→p - | P→P -"),
            (1, 0, "o→p done | O→P progress | d→p done | D→P progress | p→p - | P→P -"),
            (1, 1, "o→d refused | O→D - | d→d - | D→D - | p→p - | P→P -"),
            (3, 0x84, "o→O progress | O→O - | d→D progress | D→D - | p→P progress | P→P -"),
            (3, 0, "o→o - | O→o refused | d→d - | D→d refused | p→p - | P→p refused"),
            (3, 0x82, "o→o - | O→o refused | d→d - | D→d refused | p→p - | P→p refused"),
            (0x103, 0x80, "o→o - | O→o refused | d→d - | D→d refused | p→p - | P→p refused"),
            (7, 7, "o→o - | O→O - | d→d - | D→D - | p→p - | P→P -"),
        ] {
            assert_eq!(row(source, status), expected, "_OST({source:#x}, {status:#x})");
        }
    }

    #[test]
    fn the_state_that_shows() {
        for (taken, staying) in TAKEN.into_iter().zip([State::Plugging, State::Idle, State::Plugged]) {
            assert_eq!(Phase { taken, leaving: false }.state(), staying);
            assert_eq!(Phase { taken, leaving: true }.state(), State::Unplugging);
        }
    }
}
