//! Places for virtio devices: each of a place's devices is present exactly in its turn, and the container is notified.

use dimmer_acpi::ged;
use dimmer_acpi::places::TURNS;
use dimmer_acpi::platform::{Places, Platform, VirtioMmio};

use crate::tools::{Interpreter, integers};
use crate::{dsdt, platform, rename};

const PORT: u16 = 0xb40;

/// A machine with two places.
pub fn with_places() -> Platform {
    let transports =
        (0..2).map(|n| VirtioMmio { address: 0xd000_3000 + n * 0x1000, size: 0x1000, gsi: 10 + n }).collect();
    Platform { places: Some(Places { port: PORT, transports }), ..platform(0) }
}

#[test]
fn a_device_is_present_in_its_turn() {
    let registers = format!(
        "OperationRegion (TREG, SystemIO, {PORT}, 2) Field (TREG, ByteAcc, NoLock, Preserve) {{ B0, 8, B1, 8 }} \
         Method (SET0, 1) {{ B0 = Arg0 }} Method (SET1, 1) {{ B1 = Arg0 }}"
    );
    let statuses =
        |place: usize| (1..=TURNS).map(move |turn| format!(r"\_SB.VPLC.T{place:X}{turn:02X}._STA"));
    for turn in 0..=TURNS {
        let mut commands = vec![format!(r"\SET1 {turn}"), r"\SET0 0xff".to_owned()];
        commands.extend(statuses(0).chain(statuses(1)));
        let commands: Vec<_> = commands.iter().map(String::as_str).collect();
        let results = Interpreter::new(&dsdt(&with_places()), &registers).evaluate(&commands);
        let present: Vec<_> = results[2..].iter().map(|result| integers(result)).collect();
        let (first, second) = present.split_at(TURNS.into());
        assert!(first.iter().all(|status| *status == [0]), "{first:?}");
        let expected: Vec<_> = (1..=TURNS).map(|other| vec![if other == turn { 0xf } else { 0 }]).collect();
        assert_eq!(second, expected);
    }
}

#[test]
fn their_container_is_notified_with_a_bus_check() {
    let model =
        format!(r"External (\_SB.GED, DeviceObj) Scope (\_SB.GED) {{ Name (EVTS, {}) }}", ged::PLACES);
    let table = rename(dsdt(&with_places()), &["EVTS"]);
    let notified = Interpreter::new(&table, &model).notifications(&[r"\_SB.GED._EVT 5"]).remove(0);
    assert_eq!(notified, [("VPLC".to_owned(), 0)]);
    let without = String::from_utf8_lossy(&dsdt(&platform(16))).into_owned();
    assert!(!without.contains("VPLC") && !without.contains("ACPI0004"));
}
