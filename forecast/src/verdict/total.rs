//! Memory in all: the pages that the page allocator has got since the boot, and those that are poisoned.

use dimmer_oracle::linux::Linux;
use dimmer_oracle::zone::PAGE;
use dimmer_report::Layout;

use super::{Difference, What};

/// Pages that the guest had right after its boot without any hotplugged memory, by its own account. How many those are
/// depends on its kernel image and is nothing to predict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Baseline(i64);

impl Baseline {
    /// What a guest that has just booted shows; `None` when it does not say.
    pub fn of(linux: &Linux, seen: &Layout) -> Option<Self> {
        Some(Self(pages(seen)? - linux.managed_since_boot()))
    }
}

/// How MemTotal differs from what was predicted.
pub fn total(linux: &Linux, baseline: Baseline, seen: &Layout) -> Option<Difference> {
    let (expected, found) = (baseline.0 + linux.managed_since_boot(), pages(seen)?);
    let text = |pages: i64| format!("{pages} pages");
    (expected != found).then(|| Difference {
        what: What::MemTotal,
        expected: text(expected),
        seen: text(found),
        why: format!("{:+} since the boot", linux.managed_since_boot()),
    })
}

/// How HardwareCorrupted differs from what was predicted; nothing when the guest's kernel does not count it.
pub fn corrupted(linux: &Linux, seen: &Layout) -> Option<Difference> {
    let (expected, found) = (linux.corrupted_kb(), seen.hardware_corrupted_kb?);
    (expected != found).then(|| Difference {
        what: What::HardwareCorrupted,
        expected: format!("{expected} kB"),
        seen: format!("{found} kB"),
        why: String::new(),
    })
}

fn pages(layout: &Layout) -> Option<i64> {
    i64::try_from(layout.mem_total_kb? * 1024 / PAGE).ok()
}
