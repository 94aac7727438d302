//! The DSDT: the machine's devices as AML, all of them in `\_SB`.

use acpi_tables::Aml;
use acpi_tables::aml::{Interrupt, Name, Package, Scope};

use crate::nfit;
use crate::platform::Platform;
use crate::power;
use crate::table::{table, to_bytes};

mod cpu;
mod ged;
mod generation;
mod memory;
mod places;
mod power_button;
mod pvpanic;
mod serial;
mod slots;
mod virtio;

/// Revision since which AML integers have 64 bits.
const REVISION: u8 = 2;

/// The DSDT.
pub(crate) fn dsdt(platform: &Platform) -> Vec<u8> {
    let cpus = cpu::Cpus(&platform.cpus);
    let processors = platform.processor_port.map(|port| cpu::Controller { port, cpus: &platform.cpus });
    let serial = serial::Serial(platform.serial);
    let virtio = virtio::Transports(&platform.virtio);
    let pvpanic = pvpanic::Pvpanic(platform.pvpanic_port);
    let generation = generation::Generation(platform.generation_id);
    let ged = ged::Ged {
        device: platform.ged,
        memory: platform.memory_slots.is_some(),
        processors: processors.is_some(),
        places: platform.places.is_some(),
    };
    let memory = platform.memory_slots.map(memory::Controller::new);
    let places = platform.places.as_ref().map(places::Container);

    let first: &dyn Aml = processors.as_ref().map_or(&cpus, |controller| controller);
    let mut devices: Vec<&dyn Aml> =
        vec![first, &power_button::PowerButton, &serial, &virtio, &pvpanic, &generation];
    if let Some(controller) = &memory {
        devices.push(controller);
    }
    if let Some(container) = &places {
        devices.push(container);
    }
    if !platform.persistent.is_empty() {
        devices.push(&nfit::Root);
    }
    devices.push(&ged);

    let mut aml = soft_off();
    Scope::new("\\_SB_".into(), devices).to_aml_bytes(&mut aml);
    table(*b"DSDT", REVISION, &aml)
}

/// `\_S5`: the sleep type that means soft off. Only the first element counts where there is one
/// sleep control register (ACPI 6.5, section 7.4.2).
fn soft_off() -> Vec<u8> {
    let package = Package::new(vec![&power::SLEEP_TYPE_S5, &0u8, &0u8, &0u8]);
    to_bytes(&Name::new("_S5_".into(), &package))
}

/// The descriptor of an interrupt as every device of the machine has it: level-triggered, active
/// high, shared with no other device.
fn interrupt(gsi: u32) -> Interrupt {
    Interrupt::new(true, false, false, false, gsi)
}
