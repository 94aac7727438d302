//! The latest `_OST` reports of a machine, in order.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::meaning;

/// So many reports are kept, the latest: a guest that reports for ever must not fill the host.
const LONGEST: usize = 4096;

/// One `_OST` report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OstReport {
    /// 1 for the machine's first report, without gaps.
    pub number: u64,
    /// The slot; `None` for the container of all slots.
    pub slot: Option<u16>,
    /// The DIMM in the slot, or the one that the guest was still busy letting go.
    pub id: Option<String>,
    /// `_OST` argument 0: what it is about (ACPI 6.5, section 6.3.5).
    pub source: u32,
    /// `_OST` argument 1: how it went.
    pub status: u32,
    /// Both in words.
    pub meaning: String,
}

/// A report, and the DIMMs that it answers a bus check for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    report: OstReport,
    answers: Vec<String>,
}

/// The log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OstLog {
    entries: VecDeque<Entry>,
    last: u64,
}

impl OstLog {
    /// Adds what the guest reported of the DIMM `id` in `slot`.
    pub(crate) fn slot(&mut self, slot: u16, id: Option<String>, source: u32, status: u32) {
        self.add(Some(slot), id, source, status, Vec::new());
    }

    /// Adds what the guest reported of the container, which is about the DIMMs `answers`.
    pub(crate) fn container(&mut self, source: u32, status: u32, answers: Vec<String>) {
        self.add(None, None, source, status, answers);
    }

    fn add(&mut self, slot: Option<u16>, id: Option<String>, source: u32, status: u32, answers: Vec<String>) {
        while self.entries.len() >= LONGEST {
            self.entries.pop_front();
        }
        self.last = self.last.saturating_add(1);
        let meaning = meaning(source, status);
        let report = OstReport { number: self.last, slot, id, source, status, meaning };
        self.entries.push_back(Entry { report, answers });
    }

    /// All reports that are kept, oldest first.
    pub(crate) fn all(&self) -> Vec<OstReport> {
        self.entries.iter().map(|entry| entry.report.clone()).collect()
    }

    /// The reports about the DIMM `id`, oldest first, and those of the container that answer for it.
    pub(crate) fn about(&self, id: &str) -> Vec<OstReport> {
        let is_about = |entry: &&Entry| {
            entry.report.id.as_deref() == Some(id) || entry.answers.iter().any(|other| other == id)
        };
        self.entries.iter().filter(is_about).map(|entry| entry.report.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(log: &OstLog, id: &str) -> Vec<u64> {
        log.about(id).iter().map(|report| report.number).collect()
    }

    #[test]
    fn reports_are_found_by_dimm_and_numbered_over_all() {
        let mut log = OstLog::default();
        log.slot(3, Some("a".to_owned()), 1, 0);
        log.slot(4, None, 3, 0);
        log.container(0, 0, vec!["b".to_owned(), "a".to_owned()]);
        log.slot(3, Some("a".to_owned()), 3, 0x84);
        assert_eq!(
            (numbers(&log, "a"), numbers(&log, "b"), numbers(&log, "c")),
            (vec![1, 3, 4], vec![3], vec![])
        );
        let report = &log.about("a")[2];
        assert_eq!((report.slot, report.source, report.status), (Some(3), 3, 0x84));
        assert_eq!(report.meaning, "eject request: in progress");
        assert_eq!((log.about("b")[0].slot, log.about("b")[0].id.as_ref()), (None, None));
    }

    #[test]
    fn the_oldest_reports_go_first() {
        let mut log = OstLog::default();
        for _ in 0..LONGEST + 3 {
            log.slot(0, Some("a".to_owned()), 1, 0);
        }
        assert_eq!(log.all(), log.about("a"));
        let numbers = numbers(&log, "a");
        assert_eq!((numbers.len(), numbers[0]), (LONGEST, 4));
        assert_eq!(numbers.last().copied(), u64::try_from(LONGEST + 3).ok());
    }
}
