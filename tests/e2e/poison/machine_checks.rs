//! Errors that the machine reports and that the guest lives through, on guests of both vendors.

use dimmer::ctl::client::Method;
use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::vm::{Setup, TestVm};
use serde_json::json;

use super::{
    APART, PAGE, address_of_heap, assert_killed, assert_recovered, assert_refused, broken, inject, intel,
    look_every_second, offline_page, own, plug, program_runs, report, start_program, wait_until_broken,
};
use crate::Outcome;
use crate::layouts::assert_layout;
use crate::patience::wait_for;
use crate::virtio_mem::assert_said;

pub(super) fn an_error_that_the_scrubber_found(kernel: &Kernel) -> Outcome {
    scrubber(own(kernel))
}

pub(super) fn an_error_that_the_scrubber_found_on_intel(kernel: &Kernel) -> Outcome {
    scrubber(intel(kernel))
}

/// A free page is taken out of use; not even the kernel's own means bring it back, since the error
/// is real.
fn scrubber(setup: Setup<'_>) -> Outcome {
    let mut vm = setup.forked()?;
    let address = plug(&mut vm, "d0")?;
    look_every_second(&mut vm)?;
    report(&vm, address, "ao")?;
    wait_until_broken(&mut vm, 4)?;
    assert_recovered(&mut vm, address)?;
    vm.guest().load_module("hwpoison-inject")?;
    let back = vm.shell(&format!("echo {:#x} > /sys/kernel/debug/hwpoison/unpoison-pfn", address / PAGE));
    assert!(back.is_err(), "a page with a real error came back");
    // Each error that is reported is met, not only the first.
    report(&vm, address + APART, "ao")?;
    wait_until_broken(&mut vm, 8)?;
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    assert_layout(&mut vm, promised::BOOT)?;
    assert_eq!(broken(&mut vm)?, 0);
    let events = vm.rest.events()?;
    let seen: Vec<_> = events.iter().filter(|event| event["event"] == "machine_check").collect();
    assert_eq!(seen.len(), 2);
    assert_eq!((&seen[0]["address"], &seen[0]["severity"]), (&json!(address), &json!("ao")));
    Ok(())
}

/// Both of AMD's processors say that they recover.
pub(super) fn errors_on_a_machine_with_two_processors(kernel: &Kernel) -> Outcome {
    let mut vm = own(kernel).arguments("--cpus 2").boot()?;
    if vm.shell("grep -m 1 vendor_id /proc/cpuinfo")?.contains("AuthenticAMD") {
        let flags = "grep -c '^flags.* overflow_recov.* succor' /proc/cpuinfo";
        assert_eq!(vm.shell(flags)?.trim(), "2", "processors that say that they recover");
    }
    two_processors(vm, 5)
}

/// All of Intel's must take part, or the kernel panics.
pub(super) fn errors_on_a_machine_with_two_processors_of_intel(kernel: &Kernel) -> Outcome {
    two_processors(intel(kernel).arguments("--cpus 2").boot()?, 40)
}

/// Of two programs, the one whose page breaks dies.
fn two_processors(mut vm: TestVm, errors: u64) -> Outcome {
    let address = plug(&mut vm, "d0")?;
    look_every_second(&mut vm)?;
    for index in 0..errors {
        report(&vm, address + index * APART, "ao")?;
        wait_until_broken(&mut vm, 4 * (index + 1))?;
    }
    vm.shell("(sh -c 'echo $$ > /tmp/other; while :; do :; done') < /dev/null > /dev/null 2>&1 &")?;
    let used = start_program(&mut vm)?;
    report_to_program(&vm, used)?;
    assert_killed(&mut vm)?;
    assert_eq!(broken(&mut vm)?, 4 * (errors + 1));
    assert_eq!(vm.shell("kill -0 $(cat /tmp/other) && nproc")?.trim(), "2");
    Ok(())
}

pub(super) fn an_error_that_a_filter_ignores(kernel: &Kernel) -> Outcome {
    filter(own(kernel))
}

pub(super) fn an_error_that_a_filter_ignores_on_intel(kernel: &Kernel) -> Outcome {
    filter(intel(kernel))
}

/// The filter wants pages of a device with major number 1, which a program's memory is not.
fn filter(setup: Setup<'_>) -> Outcome {
    let mut vm = setup.forked()?;
    let free = plug(&mut vm, "d0")?;
    let used = start_program(&mut vm)?;
    look_every_second(&mut vm)?;
    vm.guest().load_module("hwpoison-inject")?;
    vm.shell(
        "cd /sys/kernel/debug/hwpoison && echo 1 > corrupt-filter-dev-major && echo 1 > corrupt-filter-enable",
    )?;
    offline_page(&mut vm, "hard", used)?;
    report(&vm, used, "ao")?;
    // Free pages are not filtered: once this one is broken, the error before it has been handled.
    report_when_read(&mut vm, free)?;
    wait_until_broken(&mut vm, 4)?;
    assert!(program_runs(&mut vm)?);
    assert_eq!(address_of_heap(&mut vm)?, used);
    Ok(())
}

/// Reports an error as soon as the guest has read the one before.
fn report_when_read(vm: &mut TestVm, address: u64) -> Outcome {
    wait_for("the guest to read an error", || {
        // A handler that has read its banks is on its stack for a while yet, and another machine check would begin at the top of
        // the same one (an IST stack), as on a processor. On the one processor the agent runs once the handler has left.
        vm.shell("true")?;
        Ok((inject(vm, address, "ao")?.status == 204).then_some(()))
    })
}

pub(super) fn an_error_that_a_program_meets(kernel: &Kernel) -> Outcome {
    program(own(kernel))
}

pub(super) fn an_error_that_a_program_meets_on_intel(kernel: &Kernel) -> Outcome {
    program(intel(kernel))
}

/// The program that uses the page dies of SIGBUS (7), and nothing else does.
fn program(setup: Setup<'_>) -> Outcome {
    let mut vm = setup.forked()?;
    plug(&mut vm, "d0")?;
    let used = start_program(&mut vm)?;
    report_to_program(&vm, used)?;
    assert_killed(&mut vm)?;
    assert_eq!(broken(&mut vm)?, 4);
    assert_said(&mut vm, &format!("Memory failure: {:#x}: recovery action for", used / PAGE))
}

/// Reports an error that a program meets, once one is at work.
fn report_to_program(vm: &TestVm, address: u64) -> Outcome {
    wait_for("the program to be met at work", || {
        let answer = inject(vm, address, "ar")?;
        if answer.status != 204 {
            assert_refused(&answer, "no vCPU runs a program right now");
        }
        Ok((answer.status == 204).then_some(()))
    })
}

pub(super) fn an_error_that_nobody_meets(kernel: &Kernel) -> Outcome {
    nobody(own(kernel))
}

pub(super) fn an_error_that_nobody_meets_on_intel(kernel: &Kernel) -> Outcome {
    nobody(intel(kernel))
}

/// Found when the kernel next looks through the banks; the page is taken out of use all the same
/// (Linux, arch/x86/kernel/cpu/mce/core.c, `uc_decode_notifier`).
fn nobody(setup: Setup<'_>) -> Outcome {
    let mut vm = setup.forked()?;
    let address = plug(&mut vm, "d0")?;
    look_every_second(&mut vm)?;
    vm.rest.tell(Method::PUT, "/vm.pause", None)?;
    report(&vm, address, "ucna")?;
    assert_refused(&inject(&vm, address, "ucna")?, "has not read the error before this one");
    vm.rest.tell(Method::PUT, "/vm.resume", None)?;
    wait_until_broken(&mut vm, 4)?;
    assert_recovered(&mut vm, address)?;
    report(&vm, address + APART, "ucna")?;
    wait_until_broken(&mut vm, 8)
}
