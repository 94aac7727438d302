//! What it takes to have a guest whose agent answers: by a boot, by a restore, by a fork; all in one run, so that their ratio
//! holds whatever the host is.

use std::fs;

use dimmer::ctl::client::Method;

use super::{Column, EVERY, Ground, Measure, Run, mebibytes, memory, time, timed};
use crate::bench::Error;
use crate::vm::{self, Setup, TestVm};

pub static COPIES: Measure = Measure {
    name: "copies",
    about: "A machine of two processors and 512 MiB, with 16 GiB for DIMMs and as much for virtio-mem: until the guest's agent \
        answers, but for the snapshot, which is until it is on disk; and what an idle child has written.",
    columns: &COLUMNS,
    most: EVERY,
    run: Run::Dimmer(run),
};

const COLUMNS: [Column; 8] = [
    time("boot"),
    time("snapshot"),
    time("restore, memory read"),
    time("restore, memory mapped"),
    time("fork of a guest that runs"),
    time("fork of one that stands still"),
    time("again"),
    memory("memory of an idle child"),
];
const MACHINE: &str = "--cpus 2 --memory size=512M --memory-hotplug method=acpi,slots=16,size=16G \
    --memory-hotplug method=virtio-mem,size=16G";

fn run(ground: &Ground) -> Result<Vec<Option<f64>>, Error> {
    vm::audited(|| measure(ground))
}

fn measure(ground: &Ground) -> Result<Vec<Option<f64>>, Error> {
    let place = ground.path("snapshot");
    let mut booted = None;
    let boot = timed(|| {
        booted = Some(Setup::new(&ground.kernel).arguments(MACHINE).boot()?);
        Ok(())
    })?;
    let vm = booted.ok_or("it was not booted")?;
    let mut all = vec![boot, timed(|| Ok(vm.snapshot(&place)?))?];
    for how in ["copy", "map"] {
        all.push(timed(|| Ok(TestVm::restore(&place, &format!("--restore-memory {how}"))?.connect()?))?);
    }
    all.push(timed(|| vm.fork().map(drop).map_err(Error::from))?);
    vm.rest.tell(Method::PUT, "/vm.pause", None)?;
    all.push(timed(|| vm.fork().map(drop).map_err(Error::from))?);
    let mut child = None;
    all.push(timed(|| {
        child = Some(vm.fork()?);
        Ok(())
    })?);
    let written = written(child.ok_or("there is no child")?.pid())?;
    Ok(all.into_iter().chain([mebibytes(written)]).map(Some).collect())
}

/// What a process has for itself, in bytes: of a child's memory, the pages that it has written.
fn written(pid: u32) -> Result<u64, Error> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    let kib: u64 = line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no Anonymous")?.parse()?;
    Ok(kib << 10)
}
