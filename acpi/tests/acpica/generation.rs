//! What a driver of the generation ID looks for (Linux, drivers/virt/vmgenid.c).

use crate::tools::{Interpreter, integers};
use crate::{GENERATION_ID, dsdt, platform};

#[test]
fn addr_is_the_address_of_the_number_in_two_halves() {
    let results = Interpreter::new(&dsdt(&platform(0)), "").evaluate(&[r"\_SB.VMGI.ADDR"]);
    assert_eq!(integers(&results[0]), [GENERATION_ID & 0xffff_ffff, GENERATION_ID >> 32]);
}

/// The interpreter makes capitals of small letters, and drivers are looked for with those.
#[test]
fn the_device_has_both_ids_that_drivers_know() {
    let results = Interpreter::new(&dsdt(&platform(0)), "").evaluate(&[r"\_SB.VMGI._CID"]);
    for id in ["VM_GEN_COUNTER", "VMGENCTR"] {
        assert!(results[0].contains(&format!("\"{id}\"")), "{}", results[0]);
    }
}
