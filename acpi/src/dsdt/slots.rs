//! What controllers over a register block with a slot selector share: memory's ([`super::memory`]) and the processors'
//! ([`super::cpu`]).
//!
//! The slots' methods are all alike, so each only calls the controller's method of the same purpose with its number: 1,024
//! slots stay small. A controller's method holds the mutex from the moment it selects the slot until it has read or written the
//! last register. It is never held across `Notify`, and the queue of notifications needs no selection, so [`events`] goes
//! without it. All names are looked up in the controller's own scope.

use acpi_tables::aml::{
    Acquire, Arg, Field, FieldAccessType, FieldEntry, FieldLockRule, FieldUpdateRule, Local, Method,
    MethodCall, Mutex, Path, Release, Return, Store,
};
use acpi_tables::{Aml, AmlSink};

pub(super) mod events;

/// Registers that every such block has.
pub(super) const SLOT: &str = "SLOT";
pub(super) const STATUS: &str = "STAT";
pub(super) const EVENT: &str = "EVNT";
pub(super) const EJECT: &str = "EJCT";
pub(super) const OST_SOURCE: &str = "OSTE";
pub(super) const OST_STATUS: &str = "OSTS";

/// Methods that every controller has.
pub(super) const STATUS_METHOD: &str = "SSTA";
const EJECT_METHOD: &str = "SEJ0";
const OST_METHOD: &str = "SOST";

/// The fields of a block `region`: names, offsets and sizes in bytes, ascending. A field of eight bytes is still accessed four
/// bytes at a time.
pub(super) fn registers(region: &str, registers: &[(&str, u16, u16)]) -> Field {
    let mut fields = Vec::new();
    let mut end = 0;
    for &(name, offset, size) in registers {
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
    Field::new(region.into(), access, lock, update, fields)
}

/// Name of the mutex around "select a slot, then read or write".
fn mutex() -> Path {
    Path::new("SLCK")
}

/// The mutex.
pub(super) fn new_mutex() -> Mutex {
    Mutex::new(mutex(), 0)
}

/// Takes the mutex, however long that takes.
pub(super) fn lock() -> Acquire {
    Acquire::new(mutex(), 0xffff)
}

/// Gives it back.
pub(super) fn unlock() -> Release {
    Release::new(mutex())
}

/// The controller's method that returns one register of slot `Arg0`.
pub(super) struct Read {
    pub method: &'static str,
    pub register: &'static str,
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

/// The controller's method that ejects slot `Arg0`.
pub(super) struct Eject;

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

/// The controller's method that reports `_OST`'s source event `Arg1` and status `Arg2` of slot `Arg0`.
pub(super) struct Report;

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

/// A device's method that returns what the controller's method says about its slot.
pub(super) struct Get {
    pub method: &'static str,
    pub target: &'static str,
    pub slot: u16,
}

impl Aml for Get {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let call = MethodCall::new(self.target.into(), vec![&self.slot]);
        Method::new(self.method.into(), 0, false, vec![&Return::new(&call)]).to_aml_bytes(sink);
    }
}

/// `_OST`: source event, status, and a buffer that is not used.
pub(super) struct Ost {
    /// The slot, or what stands for the controller itself.
    pub slot: u16,
}

impl Aml for Ost {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let report = MethodCall::new(OST_METHOD.into(), vec![&self.slot, &Arg(0), &Arg(1)]);
        Method::new("_OST".into(), 3, false, vec![&report]).to_aml_bytes(sink);
    }
}

/// `_EJ0`; its argument is always 1.
pub(super) struct Ej0 {
    pub slot: u16,
}

impl Aml for Ej0 {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let eject = MethodCall::new(EJECT_METHOD.into(), vec![&self.slot]);
        Method::new("_EJ0".into(), 1, false, vec![&eject]).to_aml_bytes(sink);
    }
}
