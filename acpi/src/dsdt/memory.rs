//! Memory hotplug: the controller `\_SB.MHPC` over the register block [`crate::hotplug`], and in it
//! the memory devices (ACPI 6.5, section 9.11), one per slot.
//!
//! The slots' methods are all alike, so each only calls the controller's method of the same purpose
//! with its number: 1,024 slots stay small. A controller's method holds the mutex from the moment it
//! selects the slot until it has read or written the last register. It is never held across
//! `Notify`, and the queue of notifications needs no selection, so [`events`] goes without it.

use acpi_tables::aml::{
    Acquire, Arg, Device, EISAName, Field, FieldAccessType, FieldEntry, FieldLockRule, FieldUpdateRule,
    Local, Method, Mutex, Name, OpRegion, OpRegionSpace, Path, Release, Return, Store,
};
use acpi_tables::{Aml, AmlSink};

use crate::hotplug;
use crate::platform::MemorySlots;

mod events;
mod resources;
mod slot;

/// The controller's absolute name.
const CONTROLLER_PATH: &str = "\\_SB_.MHPC";

/// `\_SB.MHPC`.
pub(super) struct Controller {
    port: u16,
    slots: u16,
}

impl Controller {
    pub(super) fn new(slots: MemorySlots) -> Self {
        let MemorySlots { count, port } = slots;
        assert!((1..=hotplug::MAX_SLOTS).contains(&count), "{count} memory slots");
        Self { port, slots: count }
    }

    /// The absolute name of the method that delivers the waiting notifications.
    pub(super) fn scan_path() -> Path {
        Path::new(&format!("{CONTROLLER_PATH}.MSCN"))
    }
}

impl Aml for Controller {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        Device::new(
            "MHPC".into(),
            vec![
                // A generic container: its children share hotplug, not a resource. Notified with a bus
                // check, Linux looks at all of them, and answers with the container's `_OST`.
                &Name::new("_HID".into(), &EISAName::new("PNP0A06")),
                &Name::new("_UID".into(), &0u8),
                &Name::new("_STA".into(), &hotplug::STATUS_PRESENT),
                &OpRegion::new("MREG".into(), OpRegionSpace::SystemIO, &self.port, &hotplug::SIZE),
                &registers(),
                &Mutex::new(mutex(), 0),
                &Read { method: STATUS_METHOD, register: STATUS },
                &Read { method: PROXIMITY_METHOD, register: PROXIMITY },
                &resources::ResourcesMethod,
                &Eject,
                &Report,
                &slot::Ost { slot: hotplug::CONTAINER },
                &events::ScanMethod { slots: self.slots },
                &events::NotifyMethod { slots: self.slots },
                &slot::Slots(self.slots),
            ],
        )
        .to_aml_bytes(sink);
    }
}

const SLOT: &str = "SLOT";
const RANGE: &str = "RANG";
const BASE: &str = "BASE";
const LENGTH: &str = "LENG";
const PROXIMITY: &str = "PROX";
const STATUS: &str = "STAT";
const EVENT: &str = "EVNT";
const EJECT: &str = "EJCT";
const OST_SOURCE: &str = "OSTE";
const OST_STATUS: &str = "OSTS";

/// The registers' names, offsets and sizes in bytes, ascending. The two halves of an address or a
/// length are one field; it is still accessed four bytes at a time.
const REGISTERS: [(&str, u16, u16); 10] = [
    (SLOT, hotplug::SLOT, 4),
    (RANGE, hotplug::RANGE, 4),
    (BASE, hotplug::BASE_LOW, 8),
    (LENGTH, hotplug::LENGTH_LOW, 8),
    (PROXIMITY, hotplug::PROXIMITY, 4),
    (STATUS, hotplug::STATUS, 4),
    (EVENT, hotplug::EVENT, 4),
    (EJECT, hotplug::EJECT, 4),
    (OST_SOURCE, hotplug::OST_SOURCE, 4),
    (OST_STATUS, hotplug::OST_STATUS, 4),
];

// What one 64-bit field needs.
const _: () = assert!(hotplug::BASE_HIGH == hotplug::BASE_LOW + 4);
const _: () = assert!(hotplug::LENGTH_HIGH == hotplug::LENGTH_LOW + 4);

fn registers() -> Field {
    let mut fields = Vec::new();
    let mut end = 0;
    for (name, offset, size) in REGISTERS {
        assert!(offset >= end, "{name} follows the register before it");
        if offset > end {
            fields.push(FieldEntry::Reserved(usize::from(offset - end) * 8));
        }
        let name = name.as_bytes().try_into().expect("register names have four letters");
        fields.push(FieldEntry::Named(name, usize::from(size) * 8));
        end = offset + size;
    }
    // Every access is a whole register, so there is never anything to preserve.
    let (access, lock, update) = (FieldAccessType::DWord, FieldLockRule::NoLock, FieldUpdateRule::Preserve);
    Field::new("MREG".into(), access, lock, update, fields)
}

/// Name of the mutex around "select a slot, then read or write".
fn mutex() -> Path {
    Path::new("MLCK")
}

/// Takes the mutex, however long that takes.
fn lock() -> Acquire {
    Acquire::new(mutex(), 0xffff)
}

fn unlock() -> Release {
    Release::new(mutex())
}

const STATUS_METHOD: &str = "MSTA";
const PROXIMITY_METHOD: &str = "MPXM";
const RESOURCES_METHOD: &str = "MCRS";
const EJECT_METHOD: &str = "MEJ0";
const OST_METHOD: &str = "MOST";

/// A method that returns one register of slot `Arg0`.
struct Read {
    method: &'static str,
    register: &'static str,
}

impl Aml for Read {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        Method::new(
            self.method.into(),
            1,
            false,
            vec![
                &lock(),
                &Store::new(&Path::new(SLOT), &Arg(0)),
                &Store::new(&Local(0), &Path::new(self.register)),
                &unlock(),
                &Return::new(&Local(0)),
            ],
        )
        .to_aml_bytes(sink);
    }
}

/// The method that ejects slot `Arg0`.
struct Eject;

impl Aml for Eject {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        Method::new(
            EJECT_METHOD.into(),
            1,
            false,
            vec![
                &lock(),
                &Store::new(&Path::new(SLOT), &Arg(0)),
                &Store::new(&Path::new(EJECT), &1u8),
                &unlock(),
            ],
        )
        .to_aml_bytes(sink);
    }
}

/// The method that reports `_OST`'s source event `Arg1` and status `Arg2` of slot `Arg0`.
struct Report;

impl Aml for Report {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        Method::new(
            OST_METHOD.into(),
            3,
            false,
            vec![
                &lock(),
                &Store::new(&Path::new(SLOT), &Arg(0)),
                &Store::new(&Path::new(OST_SOURCE), &Arg(1)),
                &Store::new(&Path::new(OST_STATUS), &Arg(2)),
                &unlock(),
            ],
        )
        .to_aml_bytes(sink);
    }
}
