//! The machine's self-check: everybody's books, taken at one moment.

use dimmer_devices::bus::lock;
use dimmer_devices::memory::{GuestRange, Holding};
use dimmer_devices::places::PlaceStatus;

use super::Machine;
use super::ram::{BOOT, FIRMWARE};
use crate::audit::{Audit, Claim, compare};
use crate::spec::PmemSpec;

impl Machine {
    /// Holds the books of all memory devices against those of KVM and of the host.
    ///
    /// All memory devices are locked meanwhile, so that no request of the guest's is half done.
    pub(super) fn audit(&self) -> Audit {
        let slots = self.wiring.slots.as_ref().map(|slots| lock(slots));
        let (places, virtio_mem) = (self.wiring.places(), self.wiring.virtio_mem());
        let virtio_mem: Vec<_> = virtio_mem.iter().map(|device| lock(device)).collect();
        let mut claims = self.fixed();
        if let Some(slots) = &slots {
            let plugged = |id: &str| Some(slots.status(id)?.plugged_size).filter(|size| *size > 0);
            let claim = |holding: Holding| {
                let plugged_size = plugged(&holding.id);
                Claim { holding, plugged_size, reachable: true }
            };
            claims.extend(slots.holdings().into_iter().map(claim));
        }
        for device in &virtio_mem {
            let plugged_size = Some(device.status().plugged_size);
            claims.push(Claim { holding: device.device().holding(), plugged_size, reachable: true });
        }
        match self.ram.books() {
            Ok(mut books) => {
                // Whose a place is changes, and the host's memory does not know it.
                for PlaceStatus { range, device, .. } in places {
                    books
                        .areas
                        .iter_mut()
                        .filter(|area| area.range == range)
                        .for_each(|area| area.device.clone_from(&device));
                }
                compare(&claims, &books)
            }
            Err(error) => {
                let problems = vec![format!("the books cannot be read: {error}")];
                Audit { ok: false, problems, devices: Vec::new(), areas: Vec::new() }
            }
        }
    }

    /// What is there as long as the machine.
    fn fixed(&self) -> Vec<Claim> {
        let backed = self.layout.firmware.iter().filter(|piece| piece.kind.has_memory());
        let claim = |id: &str, ranges: Vec<GuestRange>, plugged_size| {
            let holding = Holding { id: id.to_owned(), ranges };
            (!holding.ranges.is_empty()).then_some(Claim { holding, plugged_size, reachable: true })
        };
        let boot = claim(BOOT, self.layout.ram.clone(), Some(self.spec.memory.size));
        let firmware = claim(FIRMWARE, backed.map(|piece| piece.range).collect(), None);
        let pmem = |(pmem, range): (&PmemSpec, &GuestRange)| {
            let holding = Holding { id: pmem.id.clone(), ranges: vec![*range] };
            Claim { holding, plugged_size: pmem.size, reachable: !pmem.readonly }
        };
        let pmems = self.spec.pmems.iter().zip(&self.layout.pmems).map(pmem);
        boot.into_iter().chain(firmware).chain(pmems).collect()
    }
}
