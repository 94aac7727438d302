//! Memory that is not plugged cannot be reached: reads answer all ones, writes are dropped, both are
//! counted and cost the host nothing. Memory that is plugged again holds zeroes.

use std::error::Error;

use dimmer::ctl::client::Method;
use dimmer_agent::protocol::{KexecLoad, Parameter};
use dimmer_images::Kernel;
use dimmer_lab::guest::GuestError;
use dimmer_lab::promised;
use dimmer_lab::vm::{CMDLINE, Setup, TestVm};
use serde_json::{Value, json};

use crate::kexec::{INITRAMFS, KERNEL, wait_for_the_next_kernel, with_itself};
use crate::layouts::assert_layout;
use crate::standard::{with_dimms, with_virtio_mem};
use crate::{GIB, MIB, Outcome};

crate::tests!("reach":
    a_dimm_before_and_after,
    a_dimm_put_back_holds_zeroes,
    sub_blocks_that_are_not_plugged,
    sub_blocks_under_the_driver,
    virtio_mem_put_back_holds_zeroes,
);

/// First address behind boot RAM: where the only window begins.
const WINDOW: u64 = 6 * GIB;
/// What an access to nothing reads.
const NOTHING: u64 = u64::MAX;
/// Something else.
const PATTERN: u64 = 0x0123_4567_89ab_cdef;
/// More than the VMM itself needs to answer, and less than any access to memory would take of it,
/// spread as in [`sweep`].
const NOISE: u64 = 4 * MIB;

/// Reads eight bytes in one access.
fn read(vm: &mut TestVm, address: u64) -> Result<u64, Box<dyn Error>> {
    let bytes = vm.guest().peek(address, 8)?;
    Ok(u64::from_le_bytes(bytes.as_slice().try_into()?))
}

/// Writes eight bytes in one access.
fn write(vm: &mut TestVm, address: u64, value: u64) -> Outcome {
    Ok(vm.guest().poke(address, &value.to_le_bytes())?)
}

/// Accesses so far to addresses of the area around `address` where nothing is plugged.
fn strays(vm: &TestVm, address: u64) -> Result<u64, Box<dyn Error>> {
    let audit = vm.rest.audit()?;
    let holds = |start: u64, size: u64| (start..start + size).contains(&address);
    let area = audit.areas.iter().find(|area| holds(area.range.start, area.range.size));
    Ok(area.ok_or("no area holds the address")?.stray_accesses)
}

/// Reads and writes two words of every 2 MiB from `start` on, 64 of them: nothing comes of it but 256
/// accesses, and the host gives no memory for them.
fn sweep(vm: &mut TestVm, start: u64) -> Outcome {
    let (resident, counted) = (vm.resident()?, strays(vm, start)?);
    for address in (start..start + 128 * MIB).step_by(2 << 20) {
        for address in [address, address + 4096] {
            write(vm, address, PATTERN)?;
            assert_eq!(read(vm, address)?, NOTHING, "at {address:#x}");
        }
    }
    assert_eq!(strays(vm, start)? - counted, 256, "each access is counted once");
    let grown = vm.resident()?.saturating_sub(resident);
    assert!(grown < NOISE, "the machine has grown by {grown} bytes");
    Ok(())
}

fn a_dimm_before_and_after(kernel: &Kernel) -> Outcome {
    let arguments = "--memory-hotplug method=acpi,slots=2,size=4G";
    let mut vm = Setup::new(kernel).arguments(promised::MACHINE).arguments(arguments).boot()?;
    sweep(&mut vm, WINDOW)?;
    vm.rest.add_dimm("d0", GIB)?;
    assert_layout(&mut vm, "0 none, 1-15 DMA32, 32-47 Normal, 48-55 Movable")?;
    // It is the kernel's now, which keeps it from the likes of us.
    let refused = vm.guest().peek(WINDOW, 8);
    assert!(matches!(&refused, Err(GuestError::Refused(failure)) if failure.errno == Some(1)), "{refused:?}");
    sweep(&mut vm, WINDOW + GIB)?;
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    assert_layout(&mut vm, promised::BOOT)?;
    sweep(&mut vm, WINDOW)
}

/// The guest is not told of this DIMM, so its kernel claims nothing, and each byte can be looked at.
fn a_dimm_put_back_holds_zeroes(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    let body = json!({"id": "d0", "kind": "dimm", "size": GIB, "notify": "none"});
    let addresses = [WINDOW, WINDOW + 512 * MIB, WINDOW + GIB - 8];
    let before = strays(&vm, WINDOW)?;
    for round in 0..2 {
        let added = vm.rest.tell(Method::POST, "/memory-devices", Some(&body))?;
        assert_eq!(added["ranges"], json!([{"start": WINDOW, "size": GIB}]));
        for address in addresses {
            assert_eq!(read(&mut vm, address)?, 0, "round {round} at {address:#x}");
            write(&mut vm, address, PATTERN)?;
            assert_eq!(read(&mut vm, address)?, PATTERN, "round {round} at {address:#x}");
        }
        assert_eq!(read(&mut vm, WINDOW + GIB)?, NOTHING, "behind its end");
        vm.rest.tell(Method::DELETE, "/memory-devices/d0", None)?;
        for address in addresses {
            assert_eq!(read(&mut vm, address)?, NOTHING, "round {round} at {address:#x}");
        }
    }
    assert_eq!(strays(&vm, WINDOW)? - before, 8, "four a round");
    Ok(())
}

/// A kernel that was started by kexec and may not load the driver claims nothing of the device's
/// region, and the device still has plugged what the first kernel plugged.
fn sub_blocks_that_are_not_plugged(kernel: &Kernel) -> Outcome {
    let arguments = "--memory-hotplug method=virtio-mem,size=4G";
    let setup = Setup::new(kernel).arguments(promised::MACHINE).arguments(arguments);
    let mut vm = with_itself(setup, kernel)?.boot()?;
    vm.rest.resize("vmem0", 100 * MIB)?;
    assert_layout(&mut vm, &format!("{}, 48 Movable", promised::BOOT))?;
    vm.guest().kexec_load(&KexecLoad {
        kernel: KERNEL.to_owned(),
        initramfs: INITRAMFS.to_owned(),
        cmdline: format!("{CMDLINE} module_blacklist=virtio_mem"),
        on_crash: false,
    })?;
    vm.guest().kexec()?;
    wait_for_the_next_kernel(&mut vm)?;
    assert_layout(&mut vm, promised::BOOT)?;

    let end = WINDOW + 100 * MIB;
    for address in [WINDOW, WINDOW + 50 * MIB, end - 8] {
        write(&mut vm, address, PATTERN)?;
        assert_eq!(read(&mut vm, address)?, PATTERN, "plugged: {address:#x}");
    }
    assert_eq!(strays(&vm, WINDOW)?, 0);
    for address in [end, WINDOW + 128 * MIB - 8] {
        write(&mut vm, address, PATTERN)?;
        assert_eq!(read(&mut vm, address)?, NOTHING, "in the same block, not plugged: {address:#x}");
    }
    assert_eq!(strays(&vm, WINDOW)?, 4);
    sweep(&mut vm, WINDOW + GIB)?;
    assert_eq!(vm.rest.device("vmem0")?["plugged_size"], 100 * MIB);
    Ok(())
}

/// Has the guest's kernel record what `argument` says when a system call begins
/// (Documentation/trace/kprobetrace.rst).
fn probe(vm: &mut TestVm, argument: &str) -> Result<u64, Box<dyn Error>> {
    let script = format!(
        "cd /sys/kernel/tracing; test -e kprobe_events || mount -t tracefs t . && cd /sys/kernel/tracing
        echo > trace; echo 'p:look ksys_sync v={argument}:x64' > kprobe_events || exit 1
        echo 1 > events/kprobes/look/enable; sync; echo 0 > events/kprobes/look/enable
        cat trace; echo > kprobe_events"
    );
    let trace = vm.shell(&script)?;
    let value = trace.lines().find_map(|line| line.split_once(" v=0x"));
    let (_, digits) = value.ok_or_else(|| format!("the probe recorded nothing: {trace}"))?;
    Ok(u64::from_str_radix(digits.trim(), 16)?)
}

/// Has the guest's kernel itself read eight bytes of physical memory through its mapping of all of
/// it, which works where its driver keeps others out.
fn kernel_reads(vm: &mut TestVm, address: u64) -> Result<u64, Box<dyn Error>> {
    let mapping = probe(vm, "@page_offset_base")?;
    probe(vm, &format!("@{:#x}", mapping + address))
}

fn sub_blocks_under_the_driver(kernel: &Kernel) -> Outcome {
    let arguments = "--memory-hotplug method=virtio-mem,size=4G";
    let mut vm = Setup::new(kernel).arguments(promised::MACHINE).arguments(arguments).boot()?;
    vm.rest.resize("vmem0", 100 * MIB)?;
    assert_layout(&mut vm, &format!("{}, 48 Movable", promised::BOOT))?;
    let held = vm.guest().pin(&"48".parse()?)?;
    assert!((WINDOW..WINDOW + 100 * MIB).contains(&held.address), "{held:?} is not plugged");
    // The agent's pages begin with a 1.
    assert_eq!(kernel_reads(&mut vm, held.address)?, 1);
    assert_eq!(strays(&vm, WINDOW)?, 0);
    let resident = vm.resident()?;
    for address in [WINDOW + 100 * MIB, WINDOW + 128 * MIB - 8] {
        assert_eq!(kernel_reads(&mut vm, address)?, NOTHING, "at {address:#x}");
    }
    assert!(strays(&vm, WINDOW)? >= 2, "the accesses are counted");
    let grown = vm.resident()?.saturating_sub(resident);
    assert!(grown < NOISE, "the machine has grown by {grown} bytes");
    Ok(())
}

/// Nobody has used the blocks that come back: they stay offline.
fn virtio_mem_put_back_holds_zeroes(kernel: &Kernel) -> Outcome {
    let mut vm = with_virtio_mem(kernel)?;
    vm.rest.resize("vmem0", 256 * MIB)?;
    let held = vm.guest().pin(&"48-49".parse()?)?;
    assert_eq!(kernel_reads(&mut vm, held.address)?, 1);
    vm.guest().unpin(held.address)?;
    vm.rest.resize("vmem0", 0)?;
    assert_layout(&mut vm, promised::BOOT)?;
    vm.guest().set(Parameter::AutoOnlineBlocks, "offline")?;
    vm.rest.resize("vmem0", 256 * MIB)?;
    assert_layout(&mut vm, &format!("{}, 48-49 offline:Movable/Normal", promised::BOOT))?;
    assert_eq!(kernel_reads(&mut vm, held.address)?, 0);
    let plugged: Value = vm.rest.device("vmem0")?["plugged_size"].clone();
    assert_eq!(plugged, 256 * MIB);
    Ok(())
}
