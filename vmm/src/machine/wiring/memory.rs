//! The memory devices.

use std::sync::{Arc, Mutex};

use dimmer_devices::bus::Bus;
use dimmer_devices::dimm::{DimmSlots, DimmSlotsConfig};
use dimmer_devices::ged::Ged;
use dimmer_devices::memory::GuestRange;
use dimmer_devices::placement::Alignment;
use dimmer_devices::places::{PlaceConfig, Places};
use dimmer_devices::virtio_mem::{Unplugged, VirtioMem, VirtioMemConfig};

use super::{SharedVirtioMem, WiringError};
use crate::layout;
use crate::machine::parts::{Parts, Transports};
use crate::spec::{VirtioMemSpec, WindowSpec};

/// The DIMM slots, with the DIMMs that are there at boot, if the machine has a window for them.
pub(super) fn slots(
    parts: &Parts<'_>,
    ged: &Arc<Mutex<Ged>>,
    ports: &mut Bus,
) -> Result<Option<Arc<Mutex<DimmSlots>>>, WiringError> {
    let windows = parts.spec.windows.iter().zip(&parts.layout.windows);
    for (window, range) in windows {
        if let WindowSpec::Acpi { slots, placement, .. } = window {
            let alignment = placement.align.map_or(parts.layout.alignment, Alignment::Fixed);
            let config = DimmSlotsConfig { window: *range, alignment, slots: *slots };
            let mut slots = DimmSlots::new(config, ged.clone(), parts.outside.clone())?;
            for dimm in &parts.spec.dimms {
                let dimm_error = |error| WiringError::Dimm { id: dimm.id.clone(), error };
                parts.ram.set_node(&dimm.id, dimm.node);
                slots.add_at_boot(dimm.clone()).map_err(dimm_error)?;
            }
            let slots = Arc::new(Mutex::new(slots));
            let size = dimmer_acpi::hotplug::SIZE.into();
            ports.insert("memory-hotplug", layout::HOTPLUG_PORT.into(), size, slots.clone())?;
            return Ok(Some(slots));
        }
    }
    Ok(None)
}

/// The virtio-mem devices, each on its transport.
pub(super) fn virtio_mem(
    parts: &Parts<'_>,
    transports: &mut Transports<'_>,
) -> Result<Vec<SharedVirtioMem>, WiringError> {
    let wanted = virtio_mem_windows(parts, true);
    let most = transports.left();
    if wanted.len() > most {
        return Err(WiringError::TooMany { flag: "--memory-hotplug", asked: wanted.len(), most });
    }
    wanted
        .into_iter()
        .map(|(spec, region)| {
            let config = VirtioMemConfig {
                id: spec.id.clone(),
                region,
                block_size: spec.block_size,
                node: u16::try_from(spec.node).unwrap_or(u16::MAX),
                requested_size: spec.requested,
                legacy: spec.legacy,
            };
            let device = VirtioMem::new(config, parts.outside.clone());
            let device = device.map_err(|error| WiringError::VirtioMem { id: spec.id.clone(), error })?;
            Ok(transports.attach(device)?)
        })
        .collect()
}

/// The windows of virtio-mem devices that are there at boot, or of places for them.
fn virtio_mem_windows<'a>(parts: &Parts<'a>, present: bool) -> Vec<(&'a VirtioMemSpec, GuestRange)> {
    let windows = parts.spec.windows.iter().zip(&parts.layout.windows);
    let wanted = |(window, range): (&'a WindowSpec, &GuestRange)| match window {
        WindowSpec::VirtioMem(spec) if spec.present == present => Some((spec, *range)),
        WindowSpec::VirtioMem(_) | WindowSpec::Acpi { .. } => None,
    };
    windows.filter_map(wanted).collect()
}

/// Places for virtio-mem devices that come later, each with its transport, if the machine has any.
pub(super) fn places(
    parts: &Parts<'_>,
    ged: &Arc<Mutex<Ged>>,
    ports: &mut Bus,
    transports: &mut Transports<'_>,
) -> Result<Option<Arc<Mutex<Places>>>, WiringError> {
    let (wanted, most) = (virtio_mem_windows(parts, false), transports.left());
    if wanted.is_empty() {
        return Ok(None);
    }
    if wanted.len() > most {
        return Err(WiringError::TooMany { flag: "--memory-hotplug", asked: wanted.len(), most });
    }
    let size = wanted.len() as u64;
    let place = |(ahead, (spec, region)): (usize, (&VirtioMemSpec, GuestRange))| {
        let (memory, irq) = transports.surroundings(ahead);
        PlaceConfig { room: spec.room(region), memory, irq }
    };
    let configs = wanted.into_iter().enumerate().map(place).collect();
    let places = Places::new(configs, ged.clone(), parts.outside);
    places.all().iter().try_for_each(|place| transports.occupy(place.clone()))?;
    let places = Arc::new(Mutex::new(places));
    ports.insert("virtio places", layout::PLACES_PORT.into(), size, places.clone())?;
    Ok(Some(places))
}

/// What is where devices with drivers that may touch it have nothing plugged.
pub(super) fn unplugged(parts: &Parts<'_>, mmio: &mut Bus) -> Result<(), WiringError> {
    let windows = parts.spec.windows.iter().zip(&parts.layout.windows);
    for (window, region) in windows {
        if matches!(window, WindowSpec::VirtioMem(spec) if spec.legacy) {
            let unplugged = Arc::<Mutex<Unplugged>>::default();
            mmio.insert("unplugged memory", region.start, region.size, unplugged)?;
        }
    }
    Ok(())
}
