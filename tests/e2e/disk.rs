//! Disks and random bytes: what a guest writes is in the file, what it flushed outlives the machine, and memory that comes and
//! goes under its reads and writes loses none of it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use dimmer::ctl::client::Method;
use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::vm::{Setup, TestVm};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::layouts::assert_layout;
use crate::patience::wait_until;
use crate::snapshot_files::assert_refused;
use crate::{GIB, MIB, Outcome};

crate::tests!("disk":
    what_is_written_is_in_the_file,
    what_was_flushed_outlives_a_kill,
    a_host_whose_storage_is_full,
    memory_comes_and_goes_under_reads,
    a_snapshot_in_the_middle_of_writes,
    limits_are_kept,
    random_bytes,
);

/// Bytes of each disk.
const SIZE: u64 = 32 * MIB;

/// A directory with a disk `name` in it.
fn disk(name: &str) -> Result<(TempDir, PathBuf), Box<dyn std::error::Error>> {
    let dir = tempfile::Builder::new().prefix("dimmer-disk-").tempdir()?;
    let path = dir.path().join(name);
    File::create(&path)?.set_len(SIZE)?;
    Ok((dir, path))
}

fn boot(kernel: &Kernel, arguments: &str) -> Result<TestVm, Box<dyn std::error::Error>> {
    Ok(Setup::new(kernel).arguments(promised::MACHINE).arguments(arguments).boot()?)
}

fn md5(vm: &mut TestVm, path: &str, mib: u64) -> Result<String, Box<dyn std::error::Error>> {
    Ok(vm.shell(&format!("dd if={path} bs=1M count={mib} iflag=direct 2>/dev/null | md5sum"))?)
}

/// What the machine says of its first disk.
fn status(vm: &TestVm) -> Result<Value, Box<dyn std::error::Error>> {
    Ok(vm.rest.tell(Method::GET, "/vm.info", None)?["disks"][0].clone())
}

/// Starts what goes on by itself.
fn start(vm: &mut TestVm, command: &str) -> Outcome {
    vm.shell(&format!("({command}) > /dev/null 2>&1 &"))?;
    Ok(())
}

fn kill(vm: &TestVm) -> Outcome {
    let pid = Pid::from_raw(i32::try_from(vm.pid())?).ok_or("no process has that number")?;
    Ok(kill_process(pid, Signal::KILL)?)
}

fn what_is_written_is_in_the_file(kernel: &Kernel) -> Outcome {
    let (dir, path) = disk("a")?;
    let readonly = dir.path().join("b");
    fs::write(&readonly, vec![b'b'; 4096])?;
    let arguments =
        format!("--disk path={},serial=first --disk path={},readonly=on", path.display(), readonly.display());
    let mut vm = boot(kernel, &arguments)?;
    assert_eq!(vm.shell("cat /sys/block/vda/serial /sys/block/vda/size")?, "first65536\n");
    assert_eq!(vm.shell("cat /sys/block/vdb/ro /sys/block/vdb/size; head -c 3 /dev/vdb")?, "1\n8\nbbb");
    vm.shell("dd if=/dev/urandom of=/tmp/it bs=1M count=8 2>/dev/null")?;
    vm.shell("dd if=/tmp/it of=/dev/vda bs=1M seek=3 conv=fsync 2>/dev/null")?;
    let sum = vm.shell("md5sum < /tmp/it")?;
    let written = fs::read(&path)?;
    let part = dir.path().join("part");
    fs::write(&part, &written[3 << 20..11 << 20])?;
    let seen = Command::new("md5sum").stdin(File::open(&part)?).output()?;
    assert_eq!(String::from_utf8_lossy(&seen.stdout), sum);
    assert!(
        written[..3 << 20].iter().chain(&written[11 << 20..]).all(|byte| *byte == 0),
        "nothing else was written"
    );
    let refused = vm.shell("dd if=/tmp/it of=/dev/vdb bs=512 count=1 2>&1 || true")?;
    assert!(refused.contains("not permitted") || refused.contains("Read-only"), "{refused}");
    assert!(fs::read(&readonly)?.iter().all(|byte| *byte == b'b'));
    let status = status(&vm)?;
    assert!(
        status["written_bytes"].as_u64() >= Some(8 * MIB) && status["flushes"].as_u64() >= Some(1),
        "{status}"
    );
    assert_eq!((&status["errors"], &status["size"]), (&0.into(), &SIZE.into()));
    Ok(())
}

fn what_was_flushed_outlives_a_kill(kernel: &Kernel) -> Outcome {
    let (_dir, path) = disk("a")?;
    let arguments = format!("--disk path={}", path.display());
    let mut vm = boot(kernel, &arguments)?;
    vm.shell("dd if=/dev/urandom of=/tmp/it bs=1M count=16 2>/dev/null; dd if=/tmp/it of=/dev/vda bs=64K conv=fsync 2>/dev/null")?;
    let sum = vm.shell("md5sum < /tmp/it")?;
    // More is on its way when the end comes.
    start(&mut vm, "dd if=/dev/zero of=/dev/vda bs=64K seek=256 oflag=direct")?;
    kill(&vm)?;
    vm.expect_audit_problem();
    drop(vm);
    let mut vm = boot(kernel, &arguments)?;
    assert_eq!(md5(&mut vm, "/dev/vda", 16)?, sum);
    Ok(())
}

fn limits_are_kept(kernel: &Kernel) -> Outcome {
    let (_dir, path) = disk("a")?;
    let mut vm = boot(kernel, &format!("--disk path={},bps=2M,iops=20", path.display()))?;
    let mut takes = |command: &str| -> Result<f64, Box<dyn std::error::Error>> {
        let begun = Instant::now();
        vm.shell(command)?;
        Ok(begun.elapsed().as_secs_f64())
    };
    // The last one is answered at once, and a tenth of a second may have been saved before.
    let bytes = takes("dd if=/dev/zero of=/dev/vda bs=1M count=6 oflag=direct")?;
    assert!(bytes > 2.3, "6 MiB took {bytes} s");
    let requests = takes("dd if=/dev/zero of=/dev/vda bs=4k count=60 oflag=direct")?;
    assert!(requests > 2.8, "60 requests took {requests} s");
    // One that waits for its turn does not keep the machine from being written down.
    start(&mut vm, "dd if=/dev/zero of=/dev/vda bs=4M count=100 oflag=direct")?;
    let dir = tempfile::tempdir()?;
    vm.snapshot(&dir.path().join("snapshot"))?;
    vm.shell("true")?;
    Ok(())
}

fn a_host_whose_storage_is_full(kernel: &Kernel) -> Outcome {
    let dir = tempfile::Builder::new().prefix("dimmer-disk-").tempdir()?;
    let small = |words: &[&str]| -> Outcome {
        assert!(Command::new(words[0]).args(&words[1..]).arg(dir.path()).status()?.success(), "{words:?}");
        Ok(())
    };
    small(&["mount", "-t", "tmpfs", "-o", "size=8m", "none"])?;
    let full = || -> Outcome {
        let path = dir.path().join("a");
        File::create(&path)?.set_len(SIZE)?;
        let mut vm = boot(kernel, &format!("--disk path={}", path.display()))?;
        let write = "dd if=/dev/zero of=/dev/vda bs=1M oflag=direct";
        let said = vm.shell(&format!("{write} count=16 2>&1 || true"))?;
        assert!(said.contains("Input/output error"), "{said}");
        assert!(status(&vm)?["errors"].as_u64() >= Some(1));
        // What has its place is written as before.
        vm.shell(&format!("{write} count=4"))?;
        Ok(())
    };
    let result = full();
    small(&["umount"])?;
    result
}

/// Reads the disk again and again, each time through memory that has just come, and writes down what it read.
const READER: &str =
    "while :; do dd if=/dev/vda bs=4M count=8 iflag=direct 2>>/tmp/errors | md5sum >> /tmp/sums; done";

fn memory_comes_and_goes_under_reads(kernel: &Kernel) -> Outcome {
    let (_dir, path) = disk("a")?;
    fill(&path)?;
    let arguments = format!(
        "--memory-hotplug method=acpi,slots=4,size=4G --memory-hotplug method=virtio-mem,size=4G --disk path={}",
        path.display()
    );
    let mut vm = boot(kernel, &arguments)?;
    let sum = md5(&mut vm, "/dev/vda", SIZE / MIB)?;
    start(&mut vm, READER)?;
    for _ in 0..2 {
        vm.rest.add_dimm("d0", GIB)?;
        vm.rest.resize("vmem0", GIB)?;
        let lines = sums(&mut vm)?;
        wait_until("two more reads", || Ok(sums(&mut vm)? > lines + 2))?;
        vm.rest.resize("vmem0", 0)?;
        vm.rest.remove_dimm("d0")?;
    }
    assert_eq!(vm.shell("sort -u /tmp/sums")?, sum, "each read gave the same");
    assert_eq!(vm.shell("grep -v records /tmp/errors | grep -v copied || true")?, "");
    assert_eq!(status(&vm)?["errors"], 0);
    Ok(())
}

fn sums(vm: &mut TestVm) -> Result<u64, Box<dyn std::error::Error>> {
    Ok(vm.shell("wc -l < /tmp/sums")?.trim().parse()?)
}

/// Gives each page of the disk something of its own.
fn fill(path: &Path) -> Outcome {
    let bytes: Vec<u8> = (0..SIZE / 8).flat_map(u64::to_le_bytes).collect();
    Ok(fs::write(path, bytes)?)
}

/// Writes the disk's first page again and again, flushes it, and counts.
const WRITER: &str = "n=0; while :; do echo $n | dd of=/dev/vda bs=4096 conv=sync,fsync 2>>/tmp/errors; n=$((n+1)); \
    echo $n > /tmp/n; done";

fn a_snapshot_in_the_middle_of_writes(kernel: &Kernel) -> Outcome {
    let (dir, path) = disk("a")?;
    let mut vm = boot(kernel, &format!("--disk path={}", path.display()))?;
    let refused = vm.fork().err().ok_or("a child of a machine that writes a disk")?.to_string();
    assert!(refused.contains("disk disk0 is written by this machine"), "{refused}");
    start(&mut vm, WRITER)?;
    let writes = |vm: &mut TestVm| -> Result<u64, Box<dyn std::error::Error>> {
        Ok(vm.shell("cat /tmp/n 2>/dev/null || echo 0")?.trim().parse().unwrap_or(0))
    };
    wait_until("writes", || Ok(writes(&mut vm)? > 5))?;
    let place = dir.path().join("snapshot");
    vm.rest.tell(Method::PUT, "/vm.pause", None)?;
    vm.snapshot(&place)?;
    assert_refused(&place, "", "another machine has it")?;
    drop(vm);
    let mut vm = TestVm::restore(&place, "")?;
    vm.connect()?;
    let before = writes(&mut vm)?;
    wait_until("more writes", || Ok(writes(&mut vm)? > before + 5))?;
    assert_eq!(vm.shell("grep -v records /tmp/errors | grep -v copied || true")?, "");
    assert_eq!(status(&vm)?["errors"], 0);
    Ok(())
}

fn random_bytes(kernel: &Kernel) -> Outcome {
    let mut vm = boot(kernel, "--rng")?;
    assert_eq!(vm.shell("cat /sys/class/misc/hw_random/rng_current")?, "virtio_rng.0\n");
    let read = "dd if=/dev/hwrng bs=1024 count=20 2>/dev/null | tee /tmp/it | wc -c; md5sum < /tmp/it";
    let (first, second) = (vm.shell(read)?, vm.shell(read)?);
    assert!(first.starts_with("20480\n") && second.starts_with("20480\n"), "{first}{second}");
    assert_ne!(first, second);
    assert_layout(&mut vm, promised::BOOT)
}
