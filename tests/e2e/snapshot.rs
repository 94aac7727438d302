//! Guests that go on from a snapshot: in the middle of whatever they were doing, apart from each other, and with the
//! machine that they know.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dimmer::ctl::client::Method;
use dimmer_images::Kernel;
use dimmer_lab::vm::{Setup, TestVm};
use serde_json::{Value, json};

use crate::layouts::assert_layout;
use crate::patience::wait_until;
use crate::{GIB, MIB, Outcome};

crate::tests!("snapshot":
    a_guest_at_work_goes_on,
    the_clock_stays_or_jumps,
    clones_keep_apart,
    a_clone_of_a_clone,
    a_request_that_is_held,
    an_ejection_under_way,
    faults_records_and_events_go_on,
    a_reset_after_a_restore,
    a_paused_machine_stays_paused,
);

/// Two vCPUs, slots for DIMMs and a virtio-mem device; memory that is plugged is movable. All tests of copies have it in
/// common, so most of them begin with a child of one machine that has booted.
pub fn setup(kernel: &Kernel) -> Setup<'_> {
    Setup::new(kernel).cmdline(MOVABLE).arguments(
        "--cpus 2 --memory size=512M --memory-hotplug method=acpi,slots=4,size=4G \
         --memory-hotplug method=virtio-mem,size=4G",
    )
}

/// All memory that is plugged is movable, and so can go again.
pub const MOVABLE: &str = "memory_hotplug.online_policy=contig-zones memhp_default_state=online_movable";

/// A directory for snapshots, and a snapshot's place in it.
pub fn place() -> Result<(tempfile::TempDir, PathBuf), Box<dyn Error>> {
    let dir = tempfile::Builder::new().prefix("dimmer-snapshot-").tempdir()?;
    let place = dir.path().join("snapshot");
    Ok((dir, place))
}

/// A machine that goes on from `place`, and whose agent answers.
pub fn restore(place: &Path, more: &str) -> Result<TestVm, Box<dyn Error>> {
    let mut vm = TestVm::restore(place, more)?;
    vm.connect()?;
    Ok(vm)
}

/// Makes both processors compute without end, each time the same: a wrong register or byte shows as another sum. They rest now and
/// then, by a timer that has to come: what runs beside them in an emulated host gets on as well.
const WORK: &str = "for n in 1 2; do (while :; do md5sum /bin/busybox | cut -c-32 >> /tmp/sums$n; sleep 0.3; done) \
    > /dev/null 2>&1 & done; echo before > /tmp/said";

/// Starts that work.
pub fn start_work(vm: &mut TestVm) -> Outcome {
    Ok(vm.shell(WORK).map(drop)?)
}

/// That the sums are still being written, and are all the same.
pub fn assert_at_work(vm: &mut TestVm) -> Outcome {
    let lines = "cat /tmp/sums1 /tmp/sums2 | wc -l";
    let before: u64 = vm.shell(lines)?.trim().parse()?;
    wait_until("more sums", || Ok(vm.shell(lines)?.trim().parse::<u64>()? > before + 3))?;
    let different = vm.shell("sort -u /tmp/sums1 /tmp/sums2 | wc -l")?;
    assert_eq!(different.trim(), "1", "sums of the same file");
    Ok(())
}

const PLUGGED: &str = "0 none, 1-3 DMA32, 32-39 Movable, 64-71 Movable";

fn a_guest_at_work_goes_on(kernel: &Kernel) -> Outcome {
    let (_dir, place) = place()?;
    let mut vm = setup(kernel).boot()?;
    vm.rest.add_dimm("d0", GIB)?;
    vm.rest.resize("vmem0", GIB)?;
    start_work(&mut vm)?;
    assert_layout(&mut vm, PLUGGED)?;
    vm.snapshot(&place)?;
    assert_at_work(&mut vm)?;
    vm.shell("echo after > /tmp/said")?;
    drop(vm);
    for how in ["copy", "map"] {
        let mut vm = restore(&place, &format!("--restore-memory {how}"))?;
        assert_eq!(vm.shell("cat /tmp/said")?, "before\n");
        assert_at_work(&mut vm)?;
        assert_layout(&mut vm, PLUGGED)?;
        assert!(vm.rest.audit()?.ok);
        vm.rest.resize("vmem0", 2 * GIB)?;
        assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
        vm.rest.add_dimm("d1", GIB / 2)?;
        assert_layout(&mut vm, "0 none, 1-3 DMA32, 32-35 Movable, 64-79 Movable")?;
        assert_at_work(&mut vm)?;
    }
    Ok(())
}

/// Seconds since the guest started, and since 1970, as it counts them.
fn clocks(vm: &mut TestVm) -> Result<(f64, f64), Box<dyn Error>> {
    let text = vm.shell("cut -d' ' -f1 /proc/uptime; date +%s")?;
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(uptime), Some(date)) => Ok((uptime?, date?)),
        _ => Err(format!("no clocks: {text}").into()),
    }
}

fn the_clock_stays_or_jumps(kernel: &Kernel) -> Outcome {
    const AWAY: u32 = 30;
    let (_dir, place) = place()?;
    let mut vm = setup(kernel).forked()?;
    let (before, begun) = (clocks(&mut vm)?, Instant::now());
    vm.snapshot(&place)?;
    drop(vm);
    std::thread::sleep(Duration::from_secs(AWAY.into()));
    for (more, stays) in [("", true), ("--restore-clock jump", false)] {
        let mut vm = restore(&place, more)?;
        let after = clocks(&mut vm)?;
        let passed = begun.elapsed().as_secs_f64();
        for (after, before) in [(after.0, before.0), (after.1, before.1)] {
            // The host looks a little later than the guest, and the guest's date counts whole seconds.
            let away = passed - (after - before);
            match stays {
                true => {
                    assert!(away > f64::from(AWAY) - 2.0, "{away} s of {passed} did not pass in the guest")
                }
                false => assert!(after - before > f64::from(AWAY) - 2.0, "{after} behind {before}"),
            }
        }
        vm.shell("sleep 1")?;
    }
    Ok(())
}

/// What clones of one snapshot write is their own, whether it is boot RAM or was plugged, and the snapshot stays as it is: its
/// checksum is looked at when it is read.
fn clones_keep_apart(kernel: &Kernel) -> Outcome {
    let (_dir, place) = place()?;
    let mut vm = setup(kernel).forked()?;
    vm.rest.add_dimm("d0", GIB)?;
    vm.shell("mkdir -p /fill && mount -t tmpfs -o size=100M fill /fill && dd if=/dev/zero bs=1M count=1 | tr '\\0' a > /fill/it")?;
    vm.snapshot(&place)?;
    let mut clones = Vec::new();
    for name in ["b", "c"] {
        let mut vm = restore(&place, "--restore-memory map")?;
        vm.shell(&format!("dd if=/dev/zero bs=1M count=1 | tr '\\0' {name} > /fill/it"))?;
        clones.push((name, vm));
    }
    clones.push(("a", vm));
    for (name, vm) in &mut clones {
        assert_eq!(vm.shell(&format!("tr -d {name} < /fill/it | wc -c; wc -c < /fill/it"))?, "0\n1048576\n");
    }
    drop(clones);
    let mut vm = restore(&place, "--restore-memory copy")?;
    assert_eq!(vm.shell("tr -d a < /fill/it | wc -c; wc -c < /fill/it")?, "0\n1048576\n");
    Ok(())
}

/// A machine whose memory is a snapshot's, in part its own by now and in part given back, has a whole snapshot of its own.
fn a_clone_of_a_clone(kernel: &Kernel) -> Outcome {
    let (dir, first) = place()?;
    let (_dir, second) = place()?;
    let mut vm = setup(kernel).forked()?;
    vm.rest.add_dimm("d0", GIB)?;
    vm.rest.resize("vmem0", GIB)?;
    vm.shell("echo first > /tmp/one; dd if=/dev/urandom bs=1M count=8 of=/tmp/random; md5sum /tmp/random > /tmp/sum")?;
    vm.snapshot(&first)?;
    drop(vm);
    let mut vm = restore(&first, "--restore-memory map")?;
    vm.shell("echo second > /tmp/two")?;
    vm.rest.resize("vmem0", 0)?;
    vm.rest.resize("vmem0", 512 * MIB)?;
    vm.snapshot(&second)?;
    drop((vm, dir));
    for how in ["map", "copy"] {
        let mut vm = restore(&second, &format!("--restore-memory {how}"))?;
        assert_eq!(
            vm.shell("cat /tmp/one /tmp/two; md5sum -c /tmp/sum")?,
            "first\nsecond\n/tmp/random: OK\n"
        );
        assert_eq!(vm.rest.device("vmem0")?["plugged_size"], 512 * MIB);
        vm.rest.resize("vmem0", 2 * GIB)?;
    }
    Ok(())
}

fn set_fault(vm: &TestVm, device: &str, fault: Value) -> Outcome {
    let mut fault = fault;
    fault["device"] = json!(device);
    Ok(vm.rest.set_faults(&json!([fault]))?)
}

/// The driver waits for its answer on both sides of the snapshot.
fn a_request_that_is_held(kernel: &Kernel) -> Outcome {
    let (_dir, place) = place()?;
    let vm = setup(kernel).forked()?;
    set_fault(&vm, "vmem0", json!({"on": "plug", "do": "delay", "nth": 2, "milliseconds": 5000}))?;
    vm.rest.tell(Method::PATCH, "/memory-devices/vmem0", Some(&json!({"requested_size": GIB})))?;
    wait_until("the second request", || Ok(vm.rest.fault_occasions()? == [2]))?;
    vm.snapshot(&place)?;
    wait_until("1 GiB", || Ok(vm.rest.device("vmem0")?["plugged_size"] == GIB))?;
    drop(vm);
    let mut vm = restore(&place, "")?;
    wait_until("1 GiB", || Ok(vm.rest.device("vmem0")?["plugged_size"] == GIB))?;
    assert_layout(&mut vm, "0 none, 1-3 DMA32, 64-71 Movable")
}

/// The guest has not looked at the notification when the snapshot is taken: its vCPUs stood still.
fn an_ejection_under_way(kernel: &Kernel) -> Outcome {
    let (_dir, place) = place()?;
    let vm = setup(kernel).forked()?;
    vm.rest.add_dimm("d0", GIB)?;
    vm.rest.tell(Method::PUT, "/vm.pause", None)?;
    vm.rest.tell(Method::DELETE, "/memory-devices/d0", None)?;
    vm.rest.tell(Method::PATCH, "/memory-devices/vmem0", Some(&json!({"requested_size": GIB})))?;
    vm.snapshot(&place)?;
    drop(vm);
    let mut vm = TestVm::restore(&place, "--paused")?;
    assert_eq!(vm.rest.device("d0")?["state"], "unplugging");
    vm.rest.tell(Method::PUT, "/vm.resume", None)?;
    wait_until("no DIMM", || Ok(vm.rest.ask(Method::GET, "/memory-devices/d0", None)?.status == 404))?;
    wait_until("1 GiB", || Ok(vm.rest.device("vmem0")?["plugged_size"] == GIB))?;
    vm.connect()?;
    assert_layout(&mut vm, "0 none, 1-3 DMA32, 64-71 Movable")
}

/// What the machine says of itself goes on: numbers of events, reports of the guest, requests of its driver, faults.
fn faults_records_and_events_go_on(kernel: &Kernel) -> Outcome {
    const SHOWN: [&str; 4] =
        ["/memory-devices", "/memory-devices/d0/ost", "/memory-devices/vmem0/requests", "/faults"];
    let (_dir, place) = place()?;
    let vm = setup(kernel).forked()?;
    set_fault(&vm, "vmem0", json!({"on": "plug", "do": "busy", "nth": 9, "times": 2}))?;
    vm.rest.add_dimm("d0", GIB)?;
    vm.rest.resize("vmem0", GIB)?;
    let show = |vm: &TestVm| SHOWN.map(|path| vm.rest.tell(Method::GET, path, None).unwrap_or_default());
    let before = show(&vm);
    assert!(before.iter().all(|answer| !answer.is_null()), "{before:?}");
    vm.rest.tell(Method::PUT, "/vm.pause", None)?;
    let last = vm.rest.tell(Method::GET, "/vm.info", None)?["last_event"].as_u64();
    vm.snapshot(&place)?;
    drop(vm);
    let vm = TestVm::restore(&place, "")?;
    assert_eq!(show(&vm), before);
    let now = vm.rest.tell(Method::GET, "/vm.info", None)?["last_event"].as_u64();
    assert!(now > last && last.is_some(), "{now:?} behind {last:?}");
    // The ninth request of the driver is the next one: 8 blocks are there.
    vm.rest.tell(Method::PATCH, "/memory-devices/vmem0", Some(&json!({"requested_size": 2 * GIB})))?;
    wait_until("the ninth request", || Ok(vm.rest.fault_occasions()? >= vec![9]))?;
    vm.rest.resize("vmem0", 2 * GIB)?;
    Ok(())
}

/// A reset boots the kernel again, with the DIMMs that are there and not those of the first start.
fn a_reset_after_a_restore(kernel: &Kernel) -> Outcome {
    let (_dir, place) = place()?;
    let vm = setup(kernel).arguments("--dimm id=first,size=1G").boot()?;
    assert_eq!(vm.rest.remove_dimm("first")?.status, 200);
    vm.rest.add_dimm("d0", GIB)?;
    vm.rest.resize("vmem0", GIB)?;
    vm.snapshot(&place)?;
    drop(vm);
    let mut vm = restore(&place, "--restore-memory map")?;
    vm.shell("dd if=/dev/urandom bs=1M count=8 of=/tmp/random")?;
    for resets in 1..=2 {
        vm.guest().reboot()?;
        vm.wait_for_resets(resets)?;
        vm.connect()?;
        vm.rest.resize("vmem0", GIB)?;
        assert_layout(&mut vm, "0 none, 1-3 DMA32, 32-39 Movable, 64-71 Movable")?;
    }
    assert_eq!(vm.shell("ls /tmp | wc -l")?.trim(), "0");
    Ok(())
}

fn a_paused_machine_stays_paused(kernel: &Kernel) -> Outcome {
    let (_dir, place) = place()?;
    let mut vm = setup(kernel).forked()?;
    let state = |vm: &TestVm| -> Result<Value, Box<dyn Error>> {
        Ok(vm.rest.tell(Method::GET, "/vm.info", None)?["state"].clone())
    };
    vm.rest.tell(Method::PUT, "/vm.pause", None)?;
    vm.snapshot(&place)?;
    assert_eq!(state(&vm)?, "paused");
    vm.rest.tell(Method::PUT, "/vm.resume", None)?;
    vm.shell("true")?;
    let vm = TestVm::restore(&place, "--paused")?;
    assert_eq!(state(&vm)?, "paused");
    assert_eq!(state(&TestVm::restore(&place, "")?)?, "running");
    Ok(())
}
