//! The processors that come and go.

use std::sync::{Arc, Mutex};

use dimmer_acpi::processors::SIZE;
use dimmer_devices::bus::Bus;
use dimmer_devices::ged::Ged;
use dimmer_devices::processors::{ProcessorSlots, Surroundings};

use super::WiringError;
use crate::layout;
use crate::machine::parts::Parts;

/// Places for all vCPUs, if there can be more than there are at boot.
pub(super) fn processors(
    parts: &Parts<'_>,
    ged: &Arc<Mutex<Ged>>,
    ports: &mut Bus,
) -> Result<Option<Arc<Mutex<ProcessorSlots>>>, WiringError> {
    let count = |number: u32| u16::try_from(number).expect("the specification was checked");
    let (boot, max) = (count(parts.spec.cpus), count(parts.spec.max_cpus));
    if boot == max {
        return Ok(None);
    }
    let outside = Surroundings { ged: ged.clone(), seats: parts.presence.clone(), events: parts.hub.clone() };
    let slots = Arc::new(Mutex::new(ProcessorSlots::new(boot, max, outside)));
    ports.insert("processor-hotplug", layout::PROCESSOR_PORT.into(), SIZE.into(), slots.clone())?;
    Ok(Some(slots))
}
