//! Processors that come and go: their methods against the register block as plain memory, and their notifications against a
//! queue in ASL.

use dimmer_acpi::hotplug::{NO_EVENT, NOTIFY_DEVICE_CHECK, NOTIFY_EJECT_REQUEST};
use dimmer_acpi::platform::{Cpu, Platform};
use dimmer_acpi::{ged, processors};

use crate::tools::{Interpreter, buffer, integers};
use crate::{dsdt, platform, rename};

const PORT: u16 = 0xa80;

/// A machine of 300 processors, of which two are there; the last ones can only be named as x2APICs.
pub fn with_processors() -> Platform {
    let cpu = |uid| Cpu { uid, apic_id: uid, node: uid % 2, present: uid < 2 };
    Platform { cpus: (0..300).map(cpu).collect(), processor_port: Some(PORT), ..platform(0) }
}

/// Reads and writes of the block's registers.
fn access() -> String {
    let size = processors::SIZE;
    let fields: String = (0..size).step_by(4).map(|offset| format!("F{offset:03X}, 32, ")).collect();
    let methods: String = (0..size)
        .step_by(4)
        .map(|offset| {
            format!("Method (W{offset:03X}, 1) {{ F{offset:03X} = Arg0 }} Method (R{offset:03X}, 0) {{ Return (F{offset:03X}) }} ")
        })
        .collect();
    format!(
        "OperationRegion (TREG, SystemIO, {PORT}, {size}) Field (TREG, DWordAcc, NoLock, Preserve) {{ {fields} }} {methods}"
    )
}

/// What `commands` evaluate to on a machine whose registers are memory.
fn evaluate(commands: &[&str]) -> Vec<String> {
    Interpreter::new(&dsdt(&with_processors()), &access()).evaluate(commands)
}

fn method(number: u16, call: &str) -> String {
    format!(r"\_SB.CPUS.B{number:03X}.C{number:03X}.{call}")
}

#[test]
fn a_processor_selects_itself() {
    let (select, status) = (processors::PROCESSOR, processors::STATUS);
    for number in [0, 1, 255, 299] {
        let results = evaluate(&[
            &format!(r"\W{status:03X} 0xf"),
            &method(number, "_STA"),
            &format!(r"\R{select:03X}"),
            &method(number, "_OST 0x103 0x84 (00)"),
            &format!(r"\R{:03X}", processors::OST_SOURCE),
            &format!(r"\R{:03X}", processors::OST_STATUS),
            &method(number, "_PXM"),
        ]);
        let value = |index: usize| integers(&results[index]);
        assert_eq!((value(1), value(2)), (vec![0xf], vec![number.into()]));
        assert_eq!((value(4), value(5)), (vec![0x103], vec![0x84]));
        assert_eq!(value(6), [u64::from(number % 2)]);
    }
}

#[test]
fn it_is_ejected_but_for_the_first() {
    let (select, eject) = (processors::PROCESSOR, processors::EJECT);
    let reads = [format!(r"\R{select:03X}"), format!(r"\R{eject:03X}")];
    let results = evaluate(&[&method(299, "_EJ0 1"), &reads[0], &reads[1]]);
    assert_eq!((integers(&results[1]), integers(&results[2])), (vec![299], vec![1]));
    let text = String::from_utf8_lossy(&dsdt(&with_processors())).into_owned();
    assert_eq!(text.matches("_EJ0").count(), 299);
}

#[test]
fn its_entry_says_that_it_is_enabled_and_which_it_is() {
    let results = evaluate(&[&method(1, "_MAT"), &method(254, "_MAT"), &method(299, "_MAT")]);
    assert_eq!(buffer(&results[0]), [0, 8, 1, 1, 1, 0, 0, 0]);
    assert_eq!(buffer(&results[1]), [0, 8, 254, 254, 1, 0, 0, 0]);
    assert_eq!(buffer(&results[2]), [9, 16, 0, 0, 0x2b, 1, 0, 0, 1, 0, 0, 0, 0x2b, 1, 0, 0]);
}

#[test]
fn each_is_notified_in_order() {
    let queue = [
        (299, NOTIFY_DEVICE_CHECK),
        (1, NOTIFY_EJECT_REQUEST),
        (300, NOTIFY_DEVICE_CHECK),
        (0, NOTIFY_DEVICE_CHECK),
    ];
    let words: Vec<_> = queue.iter().map(|(number, value)| format!("{:#x}", value << 16 | number)).collect();
    let model = format!(
        r"External (\_SB.CPUS, DeviceObj) External (\_SB.GED, DeviceObj)
        Scope (\_SB.CPUS) {{
            Name (QUEU, Package () {{ {} }}) Name (HEAD, 0)
            Method (EVNT, 0, Serialized) {{
                If (HEAD >= SizeOf (QUEU)) {{ Return ({NO_EVENT:#x}) }}
                Local0 = DerefOf (QUEU [HEAD]) HEAD++ Return (Local0)
            }}
        }}
        Scope (\_SB.GED) {{ Name (EVTS, {}) }}",
        words.join(", "),
        ged::PROCESSORS
    );
    let table = rename(dsdt(&with_processors()), &["EVNT", "EVTS"]);
    let notified = Interpreter::new(&table, &model).notifications(&[r"\_SB.GED._EVT 5"]).remove(0);
    let expected = [("C12B", 1), ("C001", 3), ("C000", 1)].map(|(name, value)| (name.to_owned(), value));
    assert_eq!(notified, expected);
}
