//! Pages that Linux takes for broken: by its own means, and because the machine reports an error.

use std::error::Error;

use dimmer::ctl::client::Method;
use dimmer_agent::blocks::BlockList;
use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::rest::Answer;
use dimmer_lab::vm::{Setup, TestVm};
use serde_json::json;

use crate::layouts::assert_layout;
use crate::patience::wait_for;
use crate::standard::with_dimms;
use crate::virtio_mem::{ask, assert_said};
use crate::{GIB, MIB, Outcome};

mod machine_checks;
mod pending;
mod refused;

use machine_checks::{
    an_error_that_a_filter_ignores, an_error_that_a_filter_ignores_on_intel, an_error_that_a_program_meets,
    an_error_that_a_program_meets_on_intel, an_error_that_nobody_meets, an_error_that_nobody_meets_on_intel,
    an_error_that_the_scrubber_found, an_error_that_the_scrubber_found_on_intel,
    errors_on_a_machine_with_two_processors, errors_on_a_machine_with_two_processors_of_intel,
};
use pending::{errors_that_wait_outlive_their_machine, errors_that_wait_outlive_their_machine_on_intel};
use refused::{
    errors_that_would_be_lost_or_fatal_are_refused, errors_that_would_be_lost_or_fatal_are_refused_on_intel,
};

crate::tests!("poison":
    a_broken_page_leaves_with_its_block,
    a_broken_part_of_a_virtio_mem_block_stays,
    a_suspect_page_is_replaced_under_its_program,
    an_error_that_the_scrubber_found,
    an_error_that_the_scrubber_found_on_intel,
    errors_on_a_machine_with_two_processors,
    errors_on_a_machine_with_two_processors_of_intel,
    an_error_that_a_filter_ignores,
    an_error_that_a_filter_ignores_on_intel,
    an_error_that_a_program_meets,
    an_error_that_a_program_meets_on_intel,
    an_error_that_nobody_meets,
    an_error_that_nobody_meets_on_intel,
    errors_that_wait_outlive_their_machine,
    errors_that_wait_outlive_their_machine_on_intel,
    errors_that_would_be_lost_or_fatal_are_refused,
    errors_that_would_be_lost_or_fatal_are_refused_on_intel,
);

/// `EHWPOISON`, and the size of a page.
const EHWPOISON: i32 = 133;
const PAGE: u64 = 4096;

/// From one page that is to break to the next: the largest piece of free memory that Linux keeps. One
/// that loses a page is split, and what is left of it is the first that programs are given; a page in
/// another piece stays free.
const APART: u64 = 4 * MIB;

/// Blocks of a DIMM of 1 GiB beside boot RAM.
const WITH_A_DIMM: &str = "0 none, 1-15 DMA32, 32-47 Normal, 48-55 Movable";

/// A machine with a window for DIMMs, whose processors are of the host's vendor: AMD's in an emulated host.
fn own(kernel: &Kernel) -> Setup<'_> {
    let setup = Setup::new(kernel).arguments(promised::MACHINE);
    setup.arguments("--memory-hotplug method=acpi,slots=2,size=4G")
}

/// The same with Intel's processors.
fn intel(kernel: &Kernel) -> Setup<'_> {
    own(kernel).arguments("--cpu-vendor intel")
}

/// Has the guest's kernel look for errors every second, rather than every five minutes at most: AMD's processors raise no
/// exception for those that nobody has met. On AMD's before family 0x11, such as the emulated hosts', Linux clears the banks at this
/// and does not look (arch/x86/kernel/cpu/mce/core.c, `mce_cpu_restart`, and the quirk that sets `bootlog`): no error may wait.
fn look_every_second(vm: &mut TestVm) -> Outcome {
    Ok(vm.shell("echo 1 > /sys/devices/system/machinecheck/machinecheck0/check_interval").map(drop)?)
}

/// Plugs a DIMM of 1 GiB; returns an address in the middle of its fifth block, where nothing of the
/// little that these guests do has been seen.
fn plug(vm: &mut TestVm, id: &str) -> Result<u64, Box<dyn Error>> {
    let device = vm.rest.add_dimm(id, GIB)?;
    let start = device["ranges"][0]["start"].as_u64().ok_or("a DIMM has a range")?;
    vm.settled()?;
    Ok(start + 4 * 128 * MIB + 61 * MIB + 5 * PAGE)
}

/// KiB of memory that the kernel takes for broken.
fn broken(vm: &mut TestVm) -> Result<u64, Box<dyn Error>> {
    let line = vm.shell("grep HardwareCorrupted /proc/meminfo")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
}

fn wait_until_broken(vm: &mut TestVm, kilobytes: u64) -> Outcome {
    wait_for("HardwareCorrupted", || Ok((broken(vm)? == kilobytes).then_some(())))
}

/// Fails unless the kernel took the free page at `address` out of use.
fn assert_recovered(vm: &mut TestVm, address: u64) -> Outcome {
    let pfn = address / PAGE;
    assert_said(vm, &format!("Memory failure: {pfn:#x}: recovery action for free buddy page: Recovered"))
}

/// Has the kernel take the page at `address` out of use, hard or soft.
fn offline_page(vm: &mut TestVm, how: &str, address: u64) -> Outcome {
    Ok(vm.shell(&format!("echo {address:#x} > /sys/devices/system/memory/{how}_offline_page")).map(drop)?)
}

/// Has the machine report an error.
fn inject(vm: &TestVm, address: u64, severity: &str) -> Result<Answer, Box<dyn Error>> {
    let body = json!({"address": address, "severity": severity});
    Ok(vm.rest.ask(Method::POST, "/vm.inject-mce", Some(&body))?)
}

/// Has the machine report an error that it is not to refuse.
fn report(vm: &TestVm, address: u64, severity: &str) -> Outcome {
    let answer = inject(vm, address, severity)?;
    assert_eq!(answer.status, 204, "{}", answer.body);
    Ok(())
}

fn assert_refused(answer: &Answer, why: &str) {
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    assert!(answer.status == 409 && detail.contains(why), "{answer:?} does not say {why:?}");
}

/// Starts a program that does nothing but run; returns the physical address of a page that it uses
/// all the time. Its exit status will be in /tmp/status. It has no restartable sequences, whose area the C library puts into
/// that page: where another program is met at work, and this one is moved before it touches the page, the kernel cannot write
/// there, and kills it by SIGSEGV rather than SIGBUS (kernel/rseq.c, `__rseq_handle_notify_resume`).
fn start_program(vm: &mut TestVm) -> Result<u64, Box<dyn Error>> {
    vm.shell(
        "(GLIBC_TUNABLES=glibc.pthread.rseq=0 sh -c 'echo $$ > /tmp/pid; while :; do :; done'; echo $? > /tmp/status) < /dev/null > /dev/null 2>&1 &",
    )?;
    wait_for("a program", || {
        Ok(vm.shell("cat /tmp/pid 2> /dev/null || true")?.contains('\n').then_some(()))
    })?;
    address_of_heap(vm)
}

/// Physical address of the program's first page of heap (Linux, admin-guide/mm/pagemap.rst).
fn address_of_heap(vm: &mut TestVm) -> Result<u64, Box<dyn Error>> {
    let entry = vm.shell(
        "page=$(sed -n '/\\[heap\\]/s/-.*//p' /proc/$(cat /tmp/pid)/maps); \
         dd if=/proc/$(cat /tmp/pid)/pagemap bs=8 count=1 skip=$((0x$page / 4096)) 2> /dev/null | od -An -v -tx1",
    )?;
    let bytes: Vec<u8> =
        entry.split_whitespace().map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<_, _>>()?;
    let entry = u64::from_le_bytes(bytes.as_slice().try_into()?);
    assert!(entry >> 63 == 1, "the page is not in memory: {entry:#x}");
    Ok((entry & ((1 << 55) - 1)) * PAGE)
}

/// The program's exit status, once it has ended.
fn status_of_program(vm: &mut TestVm) -> Result<String, Box<dyn Error>> {
    wait_for("the program's end", || {
        let status = vm.shell("cat /tmp/status 2> /dev/null || true")?;
        Ok(status.contains('\n').then(|| status.trim().to_owned()))
    })
}

/// Fails unless the program died of SIGBUS (7).
fn assert_killed(vm: &mut TestVm) -> Outcome {
    let status = status_of_program(vm)?;
    assert_eq!(status, "135", "{}", vm.shell("dmesg | tail -n 30")?);
    Ok(())
}

/// Whether the program still runs.
fn program_runs(vm: &mut TestVm) -> Result<bool, Box<dyn Error>> {
    Ok(vm.shell("kill -0 $(cat /tmp/pid) 2> /dev/null && echo yes || true")? == "yes\n")
}

/// 6.1 forgets with the block that its page was broken, but not to count it; 6.12 keeps such a block
/// from coming back, and no longer counts pages that are gone with their device.
fn a_broken_page_leaves_with_its_block(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    let address = plug(&mut vm, "d0")?;
    assert_layout(&mut vm, WITH_A_DIMM)?;
    offline_page(&mut vm, "hard", address)?;
    assert_eq!(broken(&mut vm)?, 4);
    assert_recovered(&mut vm, address)?;
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    assert_eq!(broken(&mut vm)?, 0);

    let address = plug(&mut vm, "d1")?;
    offline_page(&mut vm, "hard", address)?;
    let block = BlockList::one(52);
    assert_eq!(vm.guest().offline(&block)?[0].errno, None);
    let online = vm.guest().online(&block, None)?[0].errno;
    let old = kernel.release.starts_with("6.1.");
    assert_eq!(online, (!old).then_some(EHWPOISON));
    assert_eq!(broken(&mut vm)?, 4);
    if old {
        assert_layout(&mut vm, WITH_A_DIMM)?;
    } else {
        let offline =
            "0 none, 1-15 DMA32, 32-47 Normal, 48-51 Movable, 52 offline:Movable/Normal, 53-55 Movable";
        assert_layout(&mut vm, offline)?;
    }
    assert_eq!(vm.rest.remove_dimm("d1")?.status, 200);
    assert_layout(&mut vm, promised::BOOT)?;
    assert_eq!(broken(&mut vm)?, if old { 4 } else { 0 });
    Ok(())
}

/// The driver gives back what it can, and keeps the sub-block with the page, and nothing else.
fn a_broken_part_of_a_virtio_mem_block_stays(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .arguments(promised::MACHINE)
        .arguments("--memory-hotplug method=virtio-mem,size=4G,block=2M")
        .boot()?;
    let device = vm.rest.resize("vmem0", GIB)?;
    let start = device["ranges"][0]["start"].as_u64().ok_or("a region has a start")?;
    vm.settled()?;
    offline_page(&mut vm, "hard", start + 4 * 128 * MIB + 61 * MIB)?;
    ask(&vm, 0)?;
    let plugged = |vm: &TestVm| -> Result<u64, Box<dyn Error>> {
        Ok(vm.rest.device("vmem0")?["plugged_size"].as_u64().ok_or("a device has a size")?)
    };
    wait_for("all but a part of a block to go", || Ok((plugged(&vm)? <= 2 * MIB).then_some(())))?;
    let block = start / (128 * MIB) + 4;
    assert_layout(&mut vm, &format!("{}, {block} Movable", promised::BOOT))?;
    // Asked for what it has, it has nothing left to do.
    let device = vm.rest.resize("vmem0", 2 * MIB)?;
    assert_eq!((&device["plugged_size"], &device["state"]), (&json!(2 * MIB), &json!("plugged")));
    assert_eq!(broken(&mut vm)?, 4);
    Ok(())
}

fn a_suspect_page_is_replaced_under_its_program(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    let free = plug(&mut vm, "d0")?;
    let used = start_program(&mut vm)?;
    for page in [free, used, used] {
        offline_page(&mut vm, "soft", page)?;
    }
    assert_eq!(broken(&mut vm)?, 8);
    assert_ne!(address_of_heap(&mut vm)?, used);
    assert!(program_runs(&mut vm)?);
    let nowhere = vm.shell(&format!("echo {:#x} > /sys/devices/system/memory/soft_offline_page", 60 * GIB));
    assert!(nowhere.is_err(), "there is no memory at 60 GiB");
    Ok(())
}
