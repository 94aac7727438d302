//! What was written to guest memory since a snapshot: by the guest, by us, and by what came and went.
//!
//! KVM logs what the guest writes, and itself (its clock, stolen time), page by page for each slot. It knows nothing of what
//! we write: all of that goes through the published map, whose regions mark it by their type (`dimmer_devices::written`).
//! Memory that is plugged, and all of it at a reset, is marked as a whole: a page of zeroes may have been another one. All
//! three marks are of an area's addresses and not of a slot, so they stay when slots go, whose logs are read just before.
//!
//! Why not the host's page tables, which see the guest's writes and ours alike? Their soft-dirty bits are not cleared for pages of
//! the pool of huge ones and not there in every kernel, and what `PAGEMAP_SCAN` needs is only since Linux 6.7. Nor by comparison
//! with the snapshot: that costs the guest nothing, but each time reads all of its memory, and the snapshot's.
//!
//! To log costs the guest: each page faults at its first write behind a snapshot, and KVM maps no huge pages to it. So it is
//! done only from a snapshot on that asks for it.

use std::ops::Range;

use dimmer_devices::bus::lock;
use dimmer_devices::memory::HostError;

use super::Ram;
use crate::snapshot::memory::{Piece, Pieces};

impl Ram {
    /// From now on what is written is marked; nothing is so far. No vCPU runs, and no device has anything to do.
    ///
    /// # Errors
    /// [`HostError`] when KVM refuses; nothing has changed then.
    pub fn watch(&self) -> Result<(), HostError> {
        lock(&self.state).kvm.watch(true)?;
        self.forget_written();
        self.areas.iter().for_each(|area| area.pages.watch(true));
        Ok(())
    }

    /// What is written is not marked any more.
    pub fn unwatch(&self) {
        self.areas.iter().for_each(|area| area.pages.watch(false));
        self.forget_written();
        if let Err(error) = lock(&self.state).kvm.watch(false) {
            tracing::warn!("what the guest writes is logged on, for nobody: {error}");
        }
    }

    /// What was written in `pieces`, which are all that is plugged: by its place in a snapshot's memory, ascending, in whole
    /// pages. It stays marked until it is [forgotten](Self::forget_written). No vCPU runs.
    ///
    /// # Errors
    /// [`HostError`] when KVM does not say it; nothing is lost then.
    pub fn written(&self, pieces: &[Piece]) -> Result<Vec<Range<u64>>, HostError> {
        lock(&self.state).kvm.collect()?;
        let places = Pieces::new(pieces).map_err(HostError)?;
        let mut written: Vec<Range<u64>> = Vec::new();
        for (place, piece) in places.iter() {
            let area = self.area(piece.range)?;
            let part = area.part(piece.range);
            for run in area.pages.written(&part) {
                let run = run.start - part.start + place..run.end - part.start + place;
                match written.last_mut() {
                    Some(last) if last.end == run.start => last.end = run.end,
                    _ => written.push(run),
                }
            }
        }
        Ok(written)
    }

    /// All that [`written`](Self::written) has said is in a snapshot now.
    pub fn forget_written(&self) {
        self.areas.iter().for_each(|area| area.pages.clear());
    }
}
