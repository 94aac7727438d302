//! Errors that the machine does not report, since they would be lost or end the guest.

use dimmer_images::Kernel;

use super::{assert_refused, inject, intel, plug};
use crate::patience::wait_for;
use crate::standard::with_dimms;
use crate::{GIB, Outcome};

pub(super) fn errors_that_would_be_lost_or_fatal_are_refused(kernel: &Kernel) -> Outcome {
    let mut vm = intel(kernel).forked()?;
    let address = plug(&mut vm, "d0")?;
    assert_refused(&inject(&vm, address + 2 * GIB, "ao")?, "no memory is plugged at");
    // A guest with nothing to do is in its kernel nearly always. If it is not, the page is free, and
    // nothing happens but that it is taken out of use.
    wait_for("a guest that does nothing", || {
        let answer = inject(&vm, address, "ar")?;
        Ok((answer.status == 409).then(|| assert_refused(&answer, "no vCPU runs a program right now")))
    })?;
    vm.shell("echo 0 > /sys/devices/system/machinecheck/machinecheck0/bank9")?;
    assert_refused(&inject(&vm, address, "ao")?, "IA32_MC9_CTL is 0x0");
    drop(vm);

    let mut vm = with_dimms(kernel)?;
    let address = plug(&mut vm, "d0")?;
    for severity in ["ao", "ar", "ucna"] {
        assert_refused(&inject(&vm, address, severity)?, "start the machine with --cpu-vendor intel");
    }
    drop(vm);

    let vm = intel(kernel).cmdline("mce=off").boot()?;
    assert_refused(&inject(&vm, GIB, "ao")?, "the guest has not enabled machine checks");
    Ok(())
}
