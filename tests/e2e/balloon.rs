//! The balloon: what the guest gives away is the host's again, what it takes back is its own, and memory that comes and goes under
//! it loses nothing.

use std::error::Error;

use dimmer::ctl::client::Method;
use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::vm::{Setup, TestVm};
use serde_json::{Value, json};

use crate::layouts::assert_layout;
use crate::patience::wait_until;
use crate::{GIB, MIB, Outcome};

crate::tests!("balloon":
    what_goes_into_it_is_the_hosts,
    memory_of_a_file_goes_back_too,
    it_shrinks_before_the_guest_runs_out_of_memory,
    free_memory_is_reported,
    memory_comes_and_goes_under_it,
    a_snapshot_in_the_middle_of_an_inflation,
    a_child_has_a_balloon_of_its_own,
);

fn boot(kernel: &Kernel, arguments: &str) -> Result<TestVm, Box<dyn Error>> {
    Ok(Setup::new(kernel).arguments(promised::MACHINE).arguments(arguments).boot()?)
}

/// What the machine says of its balloon.
fn status(vm: &TestVm) -> Result<Value, Box<dyn Error>> {
    Ok(vm.rest.tell(Method::GET, "/vm.info", None)?["balloon"].clone())
}

fn actual(vm: &TestVm) -> Result<u64, Box<dyn Error>> {
    Ok(status(vm)?["actual_size"].as_u64().ok_or("a balloon has a size")?)
}

/// Asks for a size.
fn ask(vm: &TestVm, size: u64) -> Outcome {
    vm.rest.tell(Method::PUT, "/vm.resize", Some(&json!({"desired_balloon": size})))?;
    Ok(())
}

/// Asks for a size, and waits until the guest has it.
fn set(vm: &TestVm, size: u64) -> Outcome {
    ask(vm, size)?;
    wait_until(&format!("a balloon of {} MiB", size / MIB), || Ok(actual(vm)? == size))
}

/// Has the guest touch so many MiB, which are free again afterwards.
fn touch(vm: &mut TestVm, mib: u64) -> Outcome {
    vm.shell(&format!("dd if=/dev/zero of=/tmp/fill bs=1M count={mib} 2>/dev/null && rm /tmp/fill"))?;
    Ok(())
}

/// A file of so many MiB that is to stay as it is; returns its sum.
fn keep(vm: &mut TestVm, mib: u64) -> Result<String, Box<dyn Error>> {
    vm.shell(&format!("dd if=/dev/urandom of=/tmp/it bs=1M count={mib} 2>/dev/null"))?;
    sum(vm)
}

fn sum(vm: &mut TestVm) -> Result<String, Box<dyn Error>> {
    Ok(vm.shell("md5sum < /tmp/it")?)
}

/// Most of what the guest has is in the host's memory, then `size` bytes go into the balloon, and come out of it.
fn goes_back(vm: &mut TestVm, size: u64) -> Outcome {
    let sum_before = keep(vm, 16)?;
    touch(vm, size / MIB)?;
    let before = vm.resident()?;
    set(vm, size)?;
    let after = vm.resident()?;
    assert!(before >= after + size * 5 / 8, "resident: {before} bytes before, {after} after");
    let info = vm.rest.tell(Method::GET, "/vm.info", None)?;
    assert_eq!(info["memory_actual_size"].as_u64(), info["boot_memory"].as_u64().map(|all| all - size));
    assert!(info["balloon"]["given_back"].as_u64() >= Some(size), "{info}");
    set(vm, 0)?;
    // What was given back page by page comes back so, each with a fault.
    touch(vm, 32)?;
    assert_eq!(sum(vm)?, sum_before);
    Ok(())
}

/// With little memory, so that most of what the guest gives away was touched.
fn small(kernel: &Kernel, memory: &str, balloon: &str) -> Result<TestVm, Box<dyn Error>> {
    let arguments = format!("--memory {memory} --balloon {balloon}");
    let mut vm = Setup::new(kernel).arguments(&arguments).boot()?;
    // A file may be larger than half of the memory.
    vm.shell("mount -t tmpfs -o size=95% none /tmp")?;
    Ok(vm)
}

fn what_goes_into_it_is_the_hosts(kernel: &Kernel) -> Outcome {
    let mut vm = small(kernel, "size=512M", "size=64M,stats=1")?;
    wait_until("what was asked for at start", || Ok(actual(&vm)? == 64 * MIB))?;
    goes_back(&mut vm, 320 * MIB)?;
    let total = vm.shell("grep MemTotal /proc/meminfo | tr -dc 0-9")?.trim().parse::<u64>()? * 1024;
    wait_until("statistics", || Ok(status(&vm)?["statistics"]["total_memory"].as_u64() == Some(total)))?;
    let refused = vm.rest.ask(Method::PUT, "/vm.resize", Some(&json!({"desired_balloon": GIB})))?;
    assert_eq!(refused.status, 422, "{refused:?}");
    // Another kernel begins with all of the memory, and gives away what is asked for as before.
    ask(&vm, 32 * MIB)?;
    wait_until("32 MiB", || Ok(actual(&vm)? == 32 * MIB))?;
    vm.rest.tell(Method::PUT, "/vm.reboot", None)?;
    vm.connect()?;
    wait_until("32 MiB of the next kernel", || Ok(actual(&vm)? == 32 * MIB))
}

fn memory_of_a_file_goes_back_too(kernel: &Kernel) -> Outcome {
    let mut vm = small(kernel, "size=224M,backing=memfd", "")?;
    goes_back(&mut vm, 96 * MIB)
}

/// Has the guest fill so many MiB, with what is left it cannot.
const HOG: &str =
    "dd if=/dev/zero of=/tmp/fill bs=1M count=160 2>/dev/null; ls -l /tmp/fill; rm -f /tmp/fill";

fn it_shrinks_before_the_guest_runs_out_of_memory(kernel: &Kernel) -> Outcome {
    let mut vm = small(kernel, "size=512M", "deflate_on_oom=on")?;
    let free = vm.shell("grep MemAvailable /proc/meminfo | tr -dc 0-9")?.trim().parse::<u64>()? / 1024;
    let size = (free - 64) * MIB;
    set(&vm, size)?;
    let said = vm.shell(HOG)?;
    assert!(said.contains(&(160 * MIB).to_string()), "{said}");
    let left = actual(&vm)?;
    assert!(left <= size - 64 * MIB, "{left} of {size} bytes are in the balloon");
    let log = vm.guest().kernel_log(0)?;
    assert!(!log.records.iter().any(|record| record.text.contains("Out of memory")), "somebody was killed");
    assert_eq!(status(&vm)?["target_size"], size, "what was asked for stays");
    Ok(())
}

fn free_memory_is_reported(kernel: &Kernel) -> Outcome {
    let mut vm = small(kernel, "size=512M", "free_page_reporting=on,stats=1")?;
    let sum_before = keep(&mut vm, 16)?;
    touch(&mut vm, 256)?;
    let reported = || -> Result<u64, Box<dyn Error>> {
        Ok(status(&vm)?["reported"].as_u64().ok_or("a number of bytes")?)
    };
    wait_until("reports", || Ok(reported()? >= 192 * MIB))?;
    wait_until("memory that is the host's", || Ok(vm.resident()? < 200 * MIB))?;
    assert_eq!(actual(&vm)?, 0);
    touch(&mut vm, 256)?;
    assert_eq!(sum(&mut vm)?, sum_before);
    Ok(())
}

fn memory_comes_and_goes_under_it(kernel: &Kernel) -> Outcome {
    let memory = "--memory-hotplug method=acpi,slots=4,size=4G --memory-hotplug method=virtio-mem,size=4G \
        --balloon free_page_reporting=on";
    let mut vm = boot(kernel, memory)?;
    let sum_before = keep(&mut vm, 16)?;
    for turn in 0..3 {
        ask(&vm, 4 * MIB)?;
        vm.rest.add_dimm("d0", GIB)?;
        vm.rest.resize("vmem0", GIB)?;
        set(&vm, 4 * MIB)?;
        // Its pages are in what goes, since Linux takes movable memory first, and move out of it one by one: the driver tells of
        // each twice and waits (`virtballoon_migratepage`), which takes milliseconds in an emulated host. Those that are just going in
        // or coming out do not move.
        let size = if turn == 1 { 0 } else { 6 * MIB };
        ask(&vm, size)?;
        vm.rest.resize("vmem0", 0)?;
        let is_gone = vm.rest.remove_dimm("d0")?.status == 200;
        set(&vm, size)?;
        if !is_gone {
            assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
        }
        assert_eq!(sum(&mut vm)?, sum_before);
    }
    let moved = vm.shell("grep balloon_migrate /proc/vmstat | tr -dc 0-9")?;
    assert!(moved.trim().parse::<u64>()? > 0, "no page of the balloon was in what went");
    set(&vm, 0)?;
    assert_eq!(sum(&mut vm)?, sum_before);
    assert_layout(&mut vm, promised::BOOT)
}

fn a_snapshot_in_the_middle_of_an_inflation(kernel: &Kernel) -> Outcome {
    let dir = tempfile::Builder::new().prefix("dimmer-balloon-").tempdir()?;
    let mut vm = small(kernel, "size=512M", "free_page_reporting=on,stats=1")?;
    let sum_before = keep(&mut vm, 16)?;
    ask(&vm, 256 * MIB)?;
    wait_until("some of it", || Ok(actual(&vm)? > 0))?;
    let place = dir.path().join("snapshot");
    vm.snapshot(&place)?;
    drop(vm);
    for how in ["", "--restore-memory map"] {
        let mut vm = TestVm::restore(&place, how)?;
        vm.connect()?;
        wait_until("all of it", || Ok(actual(&vm)? == 256 * MIB))?;
        assert_eq!(status(&vm)?["statistics_interval"], 1);
        let reported = status(&vm)?["reported"].as_u64();
        touch(&mut vm, 64)?;
        wait_until("more reports", || Ok(status(&vm)?["reported"].as_u64() > reported))?;
        set(&vm, 0)?;
        touch(&mut vm, 64)?;
        assert_eq!(sum(&mut vm)?, sum_before);
    }
    Ok(())
}

fn a_child_has_a_balloon_of_its_own(kernel: &Kernel) -> Outcome {
    let mut vm = small(kernel, "size=512M", "free_page_reporting=on")?;
    let sum_before = keep(&mut vm, 16)?;
    touch(&mut vm, 64)?;
    let mut child = vm.fork()?;
    child.connect()?;
    // What the child writes is its own, and goes back when it is free or given away, whatever lies below.
    child.shell("dd if=/dev/zero of=/tmp/fill bs=1M count=64 2>/dev/null")?;
    let full = child.resident()?;
    child.shell("rm /tmp/fill")?;
    wait_until("memory that is the host's", || Ok(child.resident()? + 48 * MIB < full))?;
    set(&child, 128 * MIB)?;
    set(&child, 0)?;
    touch(&mut child, 64)?;
    assert_eq!(sum(&mut child)?, sum_before);
    assert_eq!((actual(&vm)?, sum(&mut vm)?), (0, sum_before));
    Ok(())
}
