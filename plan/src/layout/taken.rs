//! Which guest-physical addresses are taken while a machine's memory is planned.

use crate::memory::GuestRange;

use super::{LayoutError, REGISTERS};

/// What has been given a place so far, below the end of what the CPU can address.
#[derive(Debug)]
pub(super) struct Taken {
    ranges: Vec<(GuestRange, &'static str)>,
    limit: u64,
}

impl Taken {
    /// Boot RAM alone.
    pub(super) fn new(ram: &[GuestRange], limit: u64) -> Self {
        Self { ranges: ram.iter().map(|range| (*range, "boot RAM")).collect(), limit }
    }

    /// Gives `range` to `what`, which `flag` asked for.
    ///
    /// # Errors
    /// When it lies on something else, or beyond the last address.
    pub(super) fn take(
        &mut self,
        flag: &'static str,
        range: GuestRange,
        what: &'static str,
    ) -> Result<(), LayoutError> {
        let end = range.start.saturating_add(range.size);
        let wrong = |what| Err(LayoutError::Place { flag, range: range.start..end, what });
        if end > self.limit {
            return wrong(format!("reaches past {:#x}, where this CPU's physical addresses end", self.limit));
        }
        if range.overlaps(&REGISTERS) {
            return wrong(format!(
                "lies on device registers ({:#x?}); say with start= where it is to be",
                REGISTERS.start..REGISTERS.end()
            ));
        }
        if let Some((other, name)) = self.ranges.iter().find(|(other, _)| other.overlaps(&range)) {
            return wrong(format!("lies on {name} ({:#x?})", other.start..other.end()));
        }
        self.ranges.push((range, what));
        Ok(())
    }

    /// The first multiple of `align` from `start` on at which `size` bytes are free, whatever the CPU can address.
    pub(super) fn free_from(&self, start: u64, size: u64, align: u64) -> u64 {
        let mut start = start.next_multiple_of(align);
        let on = |start: u64| {
            let range = GuestRange::new(start, size.min(u64::MAX - start));
            self.ranges.iter().find(move |(other, _)| other.overlaps(&range))
        };
        while let Some((other, _)) = on(start) {
            start = other.end().next_multiple_of(align);
        }
        start
    }
}
