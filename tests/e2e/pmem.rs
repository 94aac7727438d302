//! Persistent memory: what a guest flushed is in the file whatever becomes of the machine, what can only be read stays as it is,
//! and memory devices beside it are as without it.

use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use dimmer::ctl::client::Method;
use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::vm::{Setup, TestVm};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::layouts::assert_layout;
use crate::patience::wait_until;
use crate::snapshot_files::assert_refused;
use crate::{GIB, MIB, Outcome};

crate::tests!("pmem":
    what_was_flushed_outlives_a_kill,
    a_file_system_that_goes_past_the_guests_cache,
    what_can_only_be_read,
    dimms_beside_it,
    virtio_mem_beside_it,
    a_snapshot_goes_on_with_the_file,
    a_file_that_is_cut_short,
);

/// Bytes of the memory.
const SIZE: u64 = 32 * MIB;

/// A directory, and the place of a file in it.
fn place() -> Result<(tempfile::TempDir, PathBuf), Box<dyn Error>> {
    let dir = tempfile::Builder::new().prefix("dimmer-pmem-").tempdir()?;
    let path = dir.path().join("memory");
    Ok((dir, path))
}

fn boot(kernel: &Kernel, path: &Path, more: &str) -> Result<TestVm, Box<dyn Error>> {
    let pmem = format!("--pmem file={}{more}", path.display());
    ready(Setup::new(kernel).arguments(promised::MACHINE).arguments(&pmem).boot()?)
}

/// The driver's work is done by somebody else than who loads it.
fn ready(mut vm: TestVm) -> Result<TestVm, Box<dyn Error>> {
    wait_until("/dev/pmem0", || Ok(vm.shell("ls /dev/pmem0 2>/dev/null || true")?.contains("pmem0")))?;
    Ok(vm)
}

fn status(vm: &TestVm) -> Result<Value, Box<dyn Error>> {
    Ok(vm.rest.tell(Method::GET, "/vm.info", None)?["pmems"][0].clone())
}

/// The sum of the first `mib` MiB, as the guest has them in the device and not in its cache.
fn md5(vm: &mut TestVm, mib: u64) -> Result<String, Box<dyn Error>> {
    Ok(vm.shell(&format!(
        "set -o pipefail; dd if=/dev/pmem0 bs=1M count={mib} iflag=direct 2>/dev/null | md5sum"
    ))?)
}

/// Writes `mib` MiB of something, and has it flushed; returns its sum.
fn write(vm: &mut TestVm, mib: u64) -> Result<String, Box<dyn Error>> {
    vm.shell(&format!("dd if=/dev/urandom of=/tmp/it bs=1M count={mib} 2>/dev/null"))?;
    vm.shell("dd if=/tmp/it of=/dev/pmem0 bs=1M conv=fsync 2>/dev/null")?;
    Ok(vm.shell("md5sum < /tmp/it")?)
}

/// The sum of the first `mib` MiB of the host's file.
fn md5_of(path: &Path, mib: u64) -> Result<String, Box<dyn Error>> {
    let part = path.with_extension("part");
    let bytes = fs::read(path)?;
    fs::write(&part, &bytes[..usize::try_from(mib * MIB)?])?;
    let seen = Command::new("md5sum").stdin(File::open(&part)?).output()?;
    Ok(String::from_utf8(seen.stdout)?)
}

fn what_was_flushed_outlives_a_kill(kernel: &Kernel) -> Outcome {
    let (_dir, path) = place()?;
    let mut vm = boot(kernel, &path, ",size=32M")?;
    assert_eq!(fs::metadata(&path)?.len(), SIZE, "the file was made");
    assert_eq!(vm.shell("cat /sys/block/pmem0/size /sys/block/pmem0/ro")?, format!("{}\n0\n", SIZE / 512));
    let sum = write(&mut vm, 16)?;
    assert!(status(&vm)?["flushes"].as_u64() >= Some(1) && status(&vm)?["errors"] == 0, "{}", status(&vm)?);
    // It is at the place that the machine says.
    let start = status(&vm)?["start"].as_u64().ok_or("an address")?;
    let place = format!("{start:x}-{:x} : namespace0.0", start + SIZE - 1);
    assert!(vm.shell("cat /proc/iomem")?.contains(&place), "{place}");
    assert_layout(&mut vm, promised::BOOT)?;
    let pid = Pid::from_raw(i32::try_from(vm.pid())?).ok_or("no process has that number")?;
    kill_process(pid, Signal::KILL)?;
    vm.expect_audit_problem();
    drop(vm);
    assert_eq!(md5_of(&path, 16)?, sum);
    let mut vm = boot(kernel, &path, "")?;
    assert_eq!(md5(&mut vm, 16)?, sum);
    // Nor does a reset empty it.
    vm.rest.tell(Method::PUT, "/vm.reboot", None)?;
    vm.rebooted()?;
    let mut vm = ready(vm)?;
    assert_eq!(md5(&mut vm, 16)?, sum);
    Ok(())
}

/// With DAX what is in a file system is in the host's file, with no copy of it in the guest.
fn a_file_system_that_goes_past_the_guests_cache(kernel: &Kernel) -> Outcome {
    let (_dir, path) = place()?;
    let mut vm = boot(kernel, &path, ",size=32M")?;
    let mount = "mount -t ext4 -o dax /dev/pmem0 /f";
    vm.shell(&format!("mke2fs -b 4096 /dev/pmem0 > /dev/null && mkdir /f && {mount}"))?;
    assert!(vm.shell("grep /f /proc/mounts")?.contains("dax"));
    vm.shell(
        "echo what is in it > /f/file && dd if=/dev/urandom of=/f/more bs=1M count=4 2>/dev/null && sync",
    )?;
    let found = fs::read(&path)?.windows(13).any(|bytes| bytes == b"what is in it");
    assert!(found, "it is in the host's file, while it is mounted");
    let sum = vm.shell("md5sum < /f/more")?;
    vm.shell(&format!("umount /f && {mount}"))?;
    assert_eq!(vm.shell("md5sum < /f/more; cat /f/file")?, format!("{sum}what is in it\n"));
    Ok(())
}

fn what_can_only_be_read(kernel: &Kernel) -> Outcome {
    let (_dir, path) = place()?;
    fs::write(&path, vec![b'r'; usize::try_from(4 * MIB)?])?;
    let mut vm = boot(kernel, &path, ",readonly=on")?;
    let mut other = boot(kernel, &path, ",readonly=on")?;
    assert_eq!(vm.shell("head -c 3 /dev/pmem0")?, "rrr");
    let flush = "dd if=/dev/null of=/dev/pmem0 conv=fsync,notrunc 2>&1";
    vm.shell(flush)?;
    let refused = vm.shell("dd if=/dev/zero of=/dev/pmem0 bs=4096 count=2 conv=fsync 2>&1 || true")?;
    assert!(refused.contains("Input/output error"), "{refused}");
    assert_eq!(
        vm.shell("dd if=/dev/pmem0 bs=4096 count=2 iflag=direct 2>/dev/null | tr -dc r | wc -c")?,
        "8192\n"
    );
    let seen = status(&vm)?;
    assert_eq!((&seen["readonly"], &seen["errors"]), (&true.into(), &1.into()), "{seen}");
    assert!(seen["dropped_writes"].as_u64() >= Some(8192 / 64), "{seen}");
    vm.shell(flush)?;
    assert!(fs::read(&path)?.iter().all(|byte| *byte == b'r'));
    assert_eq!(other.shell("head -c 3 /dev/pmem0")?, "rrr");
    let mut child = vm.fork()?;
    assert_eq!(
        child.shell("dd if=/dev/pmem0 bs=4096 count=1 iflag=direct 2>/dev/null | tr -dc r | wc -c")?,
        "4096\n"
    );
    Ok(())
}

fn dimms_beside_it(kernel: &Kernel) -> Outcome {
    let (_dir, path) = place()?;
    let mut vm = boot(kernel, &path, ",size=32M --memory-hotplug method=acpi,slots=6,size=24G")?;
    for slot in 0..6 {
        vm.rest.add_dimm(&format!("d{slot}"), 4 * GIB)?;
    }
    assert_layout(&mut vm, promised::SIX_DIMMS)?;
    let sum = write(&mut vm, 2)?;
    assert_eq!(md5_of(&path, 2)?, sum);
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    assert_eq!(md5(&mut vm, 2)?, sum);
    Ok(())
}

fn virtio_mem_beside_it(kernel: &Kernel) -> Outcome {
    let (_dir, path) = place()?;
    let mut vm = boot(kernel, &path, ",size=32M --memory-hotplug method=virtio-mem,size=32G")?;
    let sum = write(&mut vm, 2)?;
    let steps = [(12, promised::GROWN_12G), (16, promised::GROWN_16G), (4, promised::SHRUNK_4G)];
    for (size, expected) in steps {
        vm.rest.resize("vmem0", size * GIB)?;
        assert_layout(&mut vm, expected)?;
    }
    assert_eq!(md5(&mut vm, 2)?, sum);
    let audit = vm.rest.tell(Method::GET, "/vm.audit", None)?;
    let area = audit["areas"].as_array().and_then(|areas| areas.last()).ok_or("areas")?;
    assert_eq!(
        (&area["kind"], &area["device"], &area["mapped"]),
        (&"pmem".into(), &"pmem0".into(), &SIZE.into())
    );
    assert_eq!(vm.rest.tell(Method::GET, "/vm.info", None)?["memory_actual_size"], 8 * GIB, "it is no RAM");
    Ok(())
}

fn a_snapshot_goes_on_with_the_file(kernel: &Kernel) -> Outcome {
    let (dir, path) = place()?;
    let mut vm = boot(kernel, &path, ",size=32M,id=p")?;
    let sum = write(&mut vm, 8)?;
    let refused = vm.fork().err().ok_or("a child of a machine that writes a file")?.to_string();
    assert!(refused.contains("persistent memory p is written by this machine"), "{refused}");
    let snapshot = dir.path().join("snapshot");
    vm.rest.tell(Method::PUT, "/vm.pause", None)?;
    vm.snapshot(&snapshot)?;
    assert_refused(&snapshot, "", "another machine has it")?;
    drop(vm);
    assert!(dir.path().join("snapshot/memory").metadata()?.len() <= 4 * GIB, "it is not in the snapshot");
    let file = File::options().write(true).open(&path)?;
    file.set_len(SIZE + 2 * MIB)?;
    assert_refused(&snapshot, "", "persistent memory is 0x2200000 bytes at")?;
    file.set_len(SIZE)?;
    let mut vm = TestVm::restore(&snapshot, "")?;
    vm.connect()?;
    assert_eq!(md5(&mut vm, 8)?, sum);
    let sum = write(&mut vm, 4)?;
    assert_eq!(md5_of(&path, 4)?, sum);
    assert_eq!(status(&vm)?["errors"], 0);
    Ok(())
}

/// The guest is told when it asks for a flush. It must not look: its vCPU would stand still, since KVM's asynchronous page
/// faults try again for ever (arch/x86/kvm/mmu/mmu.c, `__kvm_faultin_pfn`).
fn a_file_that_is_cut_short(kernel: &Kernel) -> Outcome {
    let (_dir, path) = place()?;
    let mut vm = boot(kernel, &path, ",size=32M")?;
    File::options().write(true).open(&path)?.set_len(4 * MIB)?;
    let flushed = vm.shell("dd if=/dev/null of=/dev/pmem0 conv=fsync,notrunc 2>&1 || true")?;
    assert!(flushed.contains("Input/output error"), "{flushed}");
    assert!(vm.log().contains("the file is 4 MiB long, and was 32 MiB; the guest is told"), "{}", vm.log());
    Ok(())
}
