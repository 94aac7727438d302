//! Places for virtio-mmio devices that come and go, over the registers [`crate::places`], in the container `\_SB.VPLC`.
//!
//! Notified with a bus check, Linux looks at all devices in a container (`acpi_scan_bus_check` in drivers/acpi/scan.c): those
//! that are present and have no driver get one. A notification of the transport itself would be in vain, because no handler of
//! hotplug knows its id. Those that are no longer present keep theirs until somebody unbinds it.

use acpi_tables::aml::{Device, Equal, Field, FieldAccessType, FieldEntry, FieldLockRule, FieldUpdateRule};
use acpi_tables::aml::{If, Method, Name, OpRegion, OpRegionSpace, Path, Return, ZERO};
use acpi_tables::{Aml, AmlSink};

use super::virtio::Transport;
use crate::hotplug::STATUS_PRESENT;
use crate::places::{MAX_PLACES, TURNS};
use crate::platform::Places;

/// `\_SB.VPLC`.
pub(super) struct Container<'a>(pub &'a Places);

impl Container<'_> {
    /// `Notify` value that says that a device has come or gone.
    pub(super) const BUS_CHECK: u8 = 0;

    /// The container's absolute name.
    pub(super) fn path() -> Path {
        Path::new("\\_SB_.VPLC")
    }
}

impl Aml for Container<'_> {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let Places { port, transports } = self.0;
        assert!((1..=MAX_PLACES).contains(&transports.len()), "{} places", transports.len());
        let size = u16::try_from(transports.len()).expect("few places");
        let byte =
            |place| FieldEntry::Named(register(place).into_bytes().try_into().expect("four letters"), 8);
        let (access, lock, update) =
            (FieldAccessType::Byte, FieldLockRule::NoLock, FieldUpdateRule::Preserve);
        let bytes =
            Field::new("VREG".into(), access, lock, update, (0..transports.len()).map(byte).collect());
        let (hid, uid) = (Name::new("_HID".into(), &"ACPI0004"), Name::new("_UID".into(), &ZERO));
        let status = Name::new("_STA".into(), &STATUS_PRESENT);
        let region = OpRegion::new("VREG".into(), OpRegionSpace::SystemIO, port, &size);
        let turns: Vec<_> = (0..transports.len())
            .flat_map(|place| (1..=TURNS).map(move |turn| Turn { places: self.0, place, turn }))
            .collect();
        let mut parts: Vec<&dyn Aml> = vec![&hid, &uid, &status, &region, &bytes];
        parts.extend(turns.iter().map(|turn| turn as &dyn Aml));
        Device::new("VPLC".into(), parts).to_aml_bytes(sink);
    }
}

/// The device that comes to a place as the one with this number.
struct Turn<'a> {
    places: &'a Places,
    place: usize,
    turn: u8,
}

impl Aml for Turn<'_> {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let Self { places, place, turn } = *self;
        let (register, present) = (Path::new(&register(place)), Return::new(&STATUS_PRESENT));
        let is_there = Equal::new(&register, &turn);
        let (if_there, absent) = (If::new(&is_there, vec![&present]), Return::new(&ZERO));
        let status = Method::new("_STA".into(), 0, false, vec![&if_there, &absent]);
        // Apart from those of the transports that are always there.
        let uid = (place + 1) << 8 | usize::from(turn);
        Transport {
            name: &format!("T{place:X}{turn:02X}"),
            uid,
            place: &places.transports[place],
            more: &[&status],
        }
        .to_aml_bytes(sink);
    }
}

/// The byte of a place.
fn register(place: usize) -> String {
    format!("PL{place:02X}")
}
