//! Errors that the machine does not report, since they would be lost or end the guest.

use dimmer_images::Kernel;
use dimmer_lab::vm::Setup;

use super::{assert_refused, inject, intel, own, plug};
use crate::patience::wait_for;
use crate::{GIB, Outcome};

pub(super) fn errors_that_would_be_lost_or_fatal_are_refused(kernel: &Kernel) -> Outcome {
    lost_or_fatal(own(kernel), own(kernel))
}

pub(super) fn errors_that_would_be_lost_or_fatal_are_refused_on_intel(kernel: &Kernel) -> Outcome {
    lost_or_fatal(intel(kernel), intel(kernel))
}

fn lost_or_fatal(usual: Setup<'_>, off: Setup<'_>) -> Outcome {
    let mut vm = usual.forked()?;
    let address = plug(&mut vm, "d0")?;
    assert_refused(&inject(&vm, address + 2 * GIB, "ao")?, "no memory is plugged at");
    // A guest with nothing to do is in its kernel nearly always. If it is not, the page is free, and
    // nothing happens but that it is taken out of use.
    wait_for("a guest that does nothing", || {
        let answer = inject(&vm, address, "ar")?;
        Ok((answer.status == 409).then(|| assert_refused(&answer, "no vCPU runs a program right now")))
    })?;
    vm.shell("echo 0 > /sys/devices/system/machinecheck/machinecheck0/bank9")?;
    assert_refused(&inject(&vm, address, "ao")?, "MC9_CTL is 0x0");
    drop(vm);

    let vm = off.cmdline("mce=off").boot()?;
    assert_refused(&inject(&vm, GIB, "ao")?, "the guest has not enabled machine checks");
    Ok(())
}
