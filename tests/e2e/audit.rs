//! The machine's self-check: it says what there is, and it finds an error that is planted.

use std::error::Error;

use dimmer::audit::DeviceAudit;
use dimmer::ctl::client::Method;
use dimmer_images::Kernel;
use dimmer_lab::vm::{self, Setup, TestVm};
use serde_json::json;

use crate::backing::setup;
use crate::{MIB, Outcome};

crate::tests!("audit":
    books_of_all_kinds_of_memory,
    a_dimm_that_is_not_mapped,
    a_dimm_without_a_slot,
    a_dimm_whose_memory_stays,
    virtio_mem_blocks_without_a_slot,
    virtio_mem_blocks_whose_slot_stays,
    a_guest_that_says_nothing_is_named,
);

/// The guest takes no memory into use, so that it does not touch what an error was planted in.
fn careful(kernel: &Kernel) -> Setup<'_> {
    setup(kernel, "backing=memfd").cmdline("memhp_default_state=offline")
}

fn books(vm: &TestVm, id: &str) -> Result<DeviceAudit, Box<dyn Error>> {
    let audit = vm.rest.audit()?;
    let device = audit.devices.into_iter().find(|device| device.id == id);
    Ok(device.ok_or_else(|| format!("the audit has no {id:?}"))?)
}

fn books_of_all_kinds_of_memory(kernel: &Kernel) -> Outcome {
    let mut vm = setup(kernel, "backing=memfd").boot()?;
    vm.rest.add_dimm("d0", 128 * MIB)?;
    vm.rest.add_dimm("d1", 256 * MIB)?;
    vm.rest.resize("m", 300 * MIB)?;
    for (id, held, slots) in [("boot", 512, 1), ("d0", 128, 1), ("d1", 256, 1), ("m", 300, 3)] {
        let device = books(&vm, id)?;
        assert_eq!((device.held, device.slot_count), (held * MIB, slots), "{id}");
        assert_eq!((&device.slots, &device.mapped), (&device.ranges, &device.ranges), "{id}");
    }
    vm.rest.tell(Method::PUT, "/vm.reboot", None)?;
    vm.rebooted()?;
    for (id, held) in [("boot", 512), ("d0", 128), ("d1", 256)] {
        assert_eq!(books(&vm, id)?.held, held * MIB, "{id}");
    }
    assert_eq!(vm.rest.audit()?.problems, Vec::<String>::new());
    Ok(())
}

/// The next `step` on the host for a device is taken for done but is not.
fn plant(vm: &TestVm, device: &str, step: &str) -> Outcome {
    Ok(vm.rest.set_faults(&json!([{"device": device, "on": step, "do": "skip"}]))?)
}

fn assert_problem(vm: &TestVm, expected: &str) -> Outcome {
    let audit = vm.rest.audit()?;
    assert!(!audit.ok);
    assert!(audit.problems.iter().any(|problem| problem.contains(expected)), "{:?}", audit.problems);
    Ok(())
}

fn a_dimm_that_is_not_mapped(kernel: &Kernel) -> Outcome {
    let vm = careful(kernel).forked()?;
    plant(&vm, "d0", "map")?;
    vm.rest.add_dimm("d0", 128 * MIB)?;
    assert_problem(&vm, "d0: 0x100000000 (128 MiB) is plugged, but the host has not mapped it")?;
    // What is gone has no books.
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    assert_eq!(vm.rest.audit()?.problems, Vec::<String>::new());
    Ok(())
}

fn a_dimm_without_a_slot(kernel: &Kernel) -> Outcome {
    let vm = careful(kernel).forked()?;
    plant(&vm, "d0", "slot")?;
    vm.rest.add_dimm("d0", 128 * MIB)?;
    assert_problem(&vm, "d0: 0x100000000 (128 MiB) is plugged, but no KVM memory slot covers it")?;
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    assert_eq!(vm.rest.audit()?.problems, Vec::<String>::new());
    Ok(())
}

fn a_dimm_whose_memory_stays(kernel: &Kernel) -> Outcome {
    let mut vm = careful(kernel).forked()?;
    vm.rest.add_dimm("d0", 128 * MIB)?;
    plant(&vm, "d0", "discard")?;
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    assert_problem(&vm, "the host has mapped 0x100000000 (128 MiB), which is not plugged")?;
    vm.expect_audit_problem();
    Ok(())
}

fn virtio_mem_blocks_without_a_slot(kernel: &Kernel) -> Outcome {
    let mut vm = careful(kernel).forked()?;
    plant(&vm, "m", "slot")?;
    vm.rest.resize("m", 128 * MIB)?;
    assert_problem(&vm, "m: 0x200000000 (128 MiB) is plugged, but no KVM memory slot covers it")?;
    vm.expect_audit_problem();
    Ok(())
}

fn virtio_mem_blocks_whose_slot_stays(kernel: &Kernel) -> Outcome {
    let mut vm = careful(kernel).forked()?;
    vm.rest.resize("m", 128 * MIB)?;
    plant(&vm, "m", "slot")?;
    vm.rest.resize("m", 0)?;
    assert_problem(&vm, "m: KVM memory slots cover 0x200000000 (128 MiB), which is not plugged")?;
    vm.expect_audit_problem();
    Ok(())
}

/// Where a change has not ended in its time, a failure tells whether the guest was still alive.
fn a_guest_that_says_nothing_is_named(kernel: &Kernel) -> Outcome {
    let late = |paused: bool| {
        vm::audited(|| {
            let vm = careful(kernel).forked()?;
            vm.rest.set_faults(&json!([{"device": "m", "on": "plug", "do": "busy"}]))?;
            if paused {
                vm.rest.tell(Method::PUT, "/vm.pause", None)?;
            }
            let body = json!({"requested_size": 128 * MIB});
            vm.rest.tell(Method::PATCH, "/memory-devices/m?wait=1", Some(&body))?;
            Ok(())
        })
    };
    let said = |paused| late(paused).map_or_else(|error| error.to_string(), |()| "nothing".to_owned());
    let (silent, alive) = (said(true), said(false));
    assert!(
        silent.contains("status 504") && silent.contains("has not answered \"exec /bin/sh -c sleep 1\""),
        "{silent}"
    );
    assert!(alive.contains("status 504") && !alive.contains("has not answered"), "{alive}");
    Ok(())
}
