//! Ejections of ACPI memory devices that the guest does not carry out, or not yet.

use std::error::Error;

use dimmer_agent::report::BlockState;
use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::vm::TestVm;
use serde_json::json;

use crate::dimm::{ONE_DIMM, assert_reported, reports_of};
use crate::layouts::assert_layout;
use crate::patience::wait_until;
use crate::standard::with_dimms;
use crate::{GIB, Outcome};
use dimmer::ctl::client::Method;

crate::tests!("dimm_stuck":
    ejection_that_the_guest_disabled_is_refused,
    a_pinned_page_holds_an_ejection_up_and_all_behind_it,
    a_reset_ends_a_stuck_ejection,
);

fn ejection_that_the_guest_disabled_is_refused(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    vm.rest.add_dimm("d0", GIB)?;
    let enabled = "/sys/firmware/acpi/hotplug/memory/enabled";
    vm.shell(&format!("echo 0 > {enabled}"))?;
    let answer = vm.rest.remove_dimm("d0")?;
    assert_eq!(answer.status, 409, "{}", answer.body);
    let reason = vm.rest.device("d0")?["last"]["reason"].to_string();
    assert!(reason.contains("disabled: "), "{reason}");
    assert_reported(&vm, "d0", &[(1, 0), (3, 0x80)])?;
    assert!(vm.guest().eject(0).is_err(), "the guest refuses itself, too");
    assert_layout(&mut vm, ONE_DIMM)?;
    vm.shell(&format!("echo 1 > {enabled}"))?;
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    assert_layout(&mut vm, promised::BOOT)
}

/// Asks for "d0" back, of which the guest holds a page in a block that is not the first; returns that
/// page's address and block once the guest tries to take the block offline.
fn stick(vm: &mut TestVm) -> Result<(u64, u64), Box<dyn Error>> {
    vm.rest.add_dimm("d0", GIB)?;
    assert_layout(vm, ONE_DIMM)?;
    let pinned = vm.guest().pin(&"50-55".parse()?)?;
    assert_eq!(vm.rest.ask(Method::DELETE, "/memory-devices/d0", None)?.status, 202);
    wait_until("the guest has begun to eject", || Ok(reports_of(vm, "d0")?.last() == Some(&(3, 0x84))))?;
    let seen = std::cell::RefCell::new(vm);
    wait_until("the pinned block is going offline", || {
        let layout = seen.borrow_mut().guest().layout()?;
        let block = layout.blocks.iter().find(|block| block.index == pinned.block);
        Ok(block.is_some_and(|block| block.state == BlockState::GoingOffline))
    })?;
    Ok((pinned.address, pinned.block))
}

fn a_pinned_page_holds_an_ejection_up_and_all_behind_it(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    let (address, pinned) = stick(&mut vm)?;
    for block in vm.guest().layout()?.blocks.iter().filter(|block| (48..56).contains(&block.index)) {
        let expected = match block.index.cmp(&pinned) {
            std::cmp::Ordering::Less => BlockState::Offline,
            std::cmp::Ordering::Equal => BlockState::GoingOffline,
            std::cmp::Ordering::Greater => BlockState::Online,
        };
        assert_eq!(block.state, expected, "block {}, pinned in {pinned}", block.index);
    }
    // It can be waited for, and is in progress as long as it is.
    assert_eq!(vm.rest.ask(Method::DELETE, "/memory-devices/d0?wait=2", None)?.status, 504);
    assert_eq!(vm.rest.device("d0")?["state"], "unplugging");
    let body = json!({"id": "d1", "kind": "dimm", "size": GIB});
    let answer = vm.rest.ask(Method::POST, "/memory-devices", Some(&body))?;
    assert_eq!((answer.status, &answer.body["waits_for"]), (202, &json!("d0")), "{}", answer.body);
    let accepted = vm.rest.events()?.into_iter().rfind(|event| event["event"] == "accepted");
    assert_eq!(accepted.map(|event| event["device"]["waits_for"].clone()), Some(json!("d0")));
    assert_eq!(vm.rest.device("d1")?["state"], "plugging");
    assert_reported(&vm, "d1", &[])?;

    vm.guest().unpin(address)?;
    wait_until("d1 has come", || Ok(vm.rest.device("d1")?["state"] == "plugged"))?;
    assert_eq!(vm.rest.ask(Method::GET, "/memory-devices/d0", None)?.status, 404);
    assert_eq!(vm.rest.device("d1")?["waits_for"], json!(null));
    assert_layout(&mut vm, &format!("{}, 56-63 Movable", promised::BOOT))?;
    // It was asked for twice; the second request found the slot empty.
    let once = [(3, 0x84), (3, 0)];
    wait_until("both requests are answered", || {
        Ok(reports_of(&vm, "d0")? == [&[(1, 0)][..], &once, &once].concat())
    })
}

fn a_reset_ends_a_stuck_ejection(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    stick(&mut vm)?;
    vm.rest.tell(Method::PUT, "/vm.reboot", None)?;
    vm.rebooted()?;
    let device = vm.rest.device("d0")?;
    assert_eq!((&device["state"], &device["last"]["outcome"]), (&json!("plugged"), &json!("refused")));
    assert_layout(&mut vm, ONE_DIMM)
}
