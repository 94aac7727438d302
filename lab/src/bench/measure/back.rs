//! Whether memory that the guest gives back comes back to the host.

use super::{Column, EVERY, Ground, Measure, Run, mebibytes, memory, milliseconds, time, timed};
use crate::bench::machine::{Machine, Running};
use crate::bench::{Error, GIB, MIB};
use std::time::Instant;

pub static BACK: Measure = Measure {
    name: "back",
    about: "A virtio-mem device grows by 1 GiB, the guest writes a file of 512 MiB there and deletes it, and the device \
        shrinks to nothing: how long that takes, how long from the request until nine tenths of the memory are the host's \
        again, and how much the program keeps in the end of what it took.",
    columns: &COLUMNS,
    most: EVERY,
    run: Run::Machines(run),
};

const COLUMNS: [Column; 3] =
    [time("shrink by 1 GiB, half of it used"), time("until it is the host's"), memory("kept")];
const FILE: u64 = 512 * MIB;

fn run(ground: &Ground) -> Result<Vec<Option<f64>>, Error> {
    let mut vm = ground.boot(&Machine { window: 4 * GIB, ..Machine::default() })?;
    let mut control = vm.control(0)?;
    control.resize(GIB)?;
    vm.console().shell("mkdir -p /m && mount -t tmpfs -o size=100% none /m && usleep 300000")?;
    let before = vm.resident()?;
    let write = format!("dd if=/dev/zero of=/m/file bs=1M count={} && rm /m/file", FILE / MIB);
    vm.console().shell(&write)?;
    let taken = vm.resident()?.saturating_sub(before);
    let begun = Instant::now();
    let shrunk = timed(|| control.resize(0))?;
    let back = until_back(&vm, before + taken / 10, begun)?;
    let kept = mebibytes(vm.resident()?.saturating_sub(before));
    Ok(vec![Some(shrunk), back, Some(kept)])
}

/// Milliseconds until no more than this is resident; none when that does not come.
fn until_back(vm: &Running, resident: u64, begun: Instant) -> Result<Option<f64>, Error> {
    for _ in 0..2000 {
        if vm.resident()? <= resident {
            return Ok(Some(milliseconds(begun.elapsed())));
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    Ok(None)
}
