//! Errors that a machine which stands still was told of: it meets them later, and so does whoever goes on from it.

use dimmer::ctl::client::Method;
use dimmer_images::Kernel;
use dimmer_lab::vm::{Setup, TestVm};

use super::{
    assert_killed, assert_recovered, broken, inject, intel, look_every_second, own, plug, report,
    start_program, wait_until_broken,
};
use crate::Outcome;
use crate::patience::wait_for;
use crate::snapshot::{place, restore};

pub(super) fn errors_that_wait_outlive_their_machine(kernel: &Kernel) -> Outcome {
    outlive(own(kernel))
}

pub(super) fn errors_that_wait_outlive_their_machine_on_intel(kernel: &Kernel) -> Outcome {
    outlive(intel(kernel))
}

/// First one in a bank, then an exception on its way: the registers of the banks and the exception are in a machine's state.
fn outlive(setup: Setup<'_>) -> Outcome {
    let mut vm = setup.forked()?;
    let free = plug(&mut vm, "d0")?;
    look_every_second(&mut vm)?;
    vm.rest.tell(Method::PUT, "/vm.pause", None)?;
    report(&vm, free, "ucna")?;
    let mut child = vm.fork()?;
    vm.rest.tell(Method::PUT, "/vm.resume", None)?;
    for vm in [&mut vm, &mut child] {
        wait_until_broken(vm, 4)?;
        assert_recovered(vm, free)?;
    }
    drop(child);

    let used = start_program(&mut vm)?;
    stop_at_program(&vm, used)?;
    let (_dir, place) = place()?;
    vm.snapshot(&place)?;
    let child = vm.fork()?;
    vm.rest.tell(Method::PUT, "/vm.resume", None)?;
    assert_dead(vm)?;
    assert_dead(child)?;
    assert_dead(restore(&place, "")?)
}

/// Stops the machine while the program is at work, and reports that the page at `address` is bad.
fn stop_at_program(vm: &TestVm, address: u64) -> Outcome {
    wait_for("the program to be met at work", || {
        vm.rest.tell(Method::PUT, "/vm.pause", None)?;
        if inject(vm, address, "ar")?.status == 204 {
            return Ok(Some(()));
        }
        vm.rest.tell(Method::PUT, "/vm.resume", None)?;
        Ok(None)
    })
}

/// Fails unless the program died of SIGBUS (7).
fn assert_dead(mut vm: TestVm) -> Outcome {
    assert_killed(&mut vm)?;
    assert_eq!(broken(&mut vm)?, 8);
    Ok(())
}
