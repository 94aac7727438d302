//! The Generic Event Device (ACPI 6.5, section 5.6.9): one interrupt, and a register that says why
//! it came.

use acpi_tables::aml::{
    And, Device, Field, FieldAccessType, FieldEntry, FieldLockRule, FieldUpdateRule, If, Local, Method,
    MethodCall, Name, Notify, OpRegion, OpRegionSpace, Path, ResourceTemplate, Store, ZERO,
};
use acpi_tables::{Aml, AmlSink};

use super::cpu;
use super::generation::Generation;
use super::interrupt;
use super::memory::Controller;
use super::places::Container;
use super::power_button::PowerButton;
use crate::ged;
use crate::platform::IoDevice;

/// `\_SB.GED_`.
pub(super) struct Ged {
    /// The interrupt and the register.
    pub device: IoDevice,
    /// Whether there are memory devices to ask for notifications.
    pub memory: bool,
    /// Whether there are processors to ask.
    pub processors: bool,
    /// Whether there are places for virtio devices.
    pub places: bool,
}

impl Aml for Ged {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        Device::new(
            "GED_".into(),
            vec![
                &Name::new("_HID".into(), &"ACPI0013"),
                &Name::new("_UID".into(), &0u8),
                &Name::new("_CRS".into(), &ResourceTemplate::new(vec![&interrupt(self.device.gsi)])),
                &OpRegion::new("EVRG".into(), OpRegionSpace::SystemIO, &self.device.port, &ged::SIZE),
                &register(),
                &EventMethod { memory: self.memory, processors: self.processors, places: self.places },
            ],
        )
        .to_aml_bytes(sink);
    }
}

/// The event register; reading it takes the events and lowers the interrupt.
fn register() -> Field {
    Field::new(
        "EVRG".into(),
        FieldAccessType::DWord,
        FieldLockRule::NoLock,
        FieldUpdateRule::Preserve,
        vec![FieldEntry::Named(*b"EVTS", usize::from(ged::SIZE) * 8)],
    )
}

/// `_EVT`, which the guest runs for every interrupt.
struct EventMethod {
    memory: bool,
    processors: bool,
    places: bool,
}

impl Aml for EventMethod {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let (events, register) = (Local(0), Path::new("EVTS"));
        let take_events = Store::new(&events, &register);
        let is_generation = And::new(&ZERO, &events, &ged::GENERATION);
        let generation = Generation::path();
        let change = Notify::new(&generation, &Generation::CHANGED);
        let if_generation = If::new(&is_generation, vec![&change]);
        let is_memory = And::new(&ZERO, &events, &ged::MEMORY);
        let scan = MethodCall::new(Controller::scan_path(), vec![]);
        let if_memory = If::new(&is_memory, vec![&scan]);
        let is_processor = And::new(&ZERO, &events, &ged::PROCESSORS);
        let scan_processors = MethodCall::new(cpu::Controller::scan_path(), vec![]);
        let if_processor = If::new(&is_processor, vec![&scan_processors]);
        let is_place = And::new(&ZERO, &events, &ged::PLACES);
        let container = Container::path();
        let check = Notify::new(&container, &Container::BUS_CHECK);
        let if_place = If::new(&is_place, vec![&check]);
        let is_button = And::new(&ZERO, &events, &ged::POWER_BUTTON);
        let button = PowerButton::path();
        let press = Notify::new(&button, &PowerButton::PRESSED);
        let if_button = If::new(&is_button, vec![&press]);

        let mut body: Vec<&dyn Aml> = vec![&take_events, &if_generation];
        if self.memory {
            body.push(&if_memory);
        }
        if self.processors {
            body.push(&if_processor);
        }
        if self.places {
            body.push(&if_place);
        }
        body.push(&if_button);
        Method::new("_EVT".into(), 1, true, body).to_aml_bytes(sink);
    }
}
