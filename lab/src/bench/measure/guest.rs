//! How fast a guest's memory is, wherever it lies.

use super::{Column, EVERY, Ground, Measure, Run, throughput, timed};
use crate::bench::machine::{Machine, Running};
use crate::bench::{Error, GIB, MIB};

pub static GUEST: Measure = Measure {
    name: "guest",
    about: "A file of 256 MiB in the guest's memory, written for the first time, which takes pages from the guest's kernel \
        and the host's, and once more: in boot RAM, on a virtio-mem device and on a DIMM. Such files lie in memory that was \
        plugged, where there is any.",
    columns: &COLUMNS,
    most: EVERY,
    run: Run::Machines(run),
};

const COLUMNS: [Column; 6] = [
    throughput("boot RAM, first"),
    throughput("boot RAM, again"),
    throughput("virtio-mem, first"),
    throughput("virtio-mem, again"),
    throughput("DIMM, first"),
    throughput("DIMM, again"),
];
const FILE: u32 = 256;

fn run(ground: &Ground) -> Result<Vec<Option<f64>>, Error> {
    let mut vm = ground.boot(&Machine { slots: 4, dimms: 4 * GIB, window: 4 * GIB, ..Machine::default() })?;
    let mut control = vm.control(0)?;
    vm.console().shell("mkdir -p /m && mount -t tmpfs -o size=100% none /m")?;
    let mut values = write(&mut vm)?;
    control.resize(512 * MIB)?;
    values.extend(write(&mut vm)?);
    control.resize(0)?;
    match control.add_dimm("d0", 512 * MIB) {
        Ok(()) => values.extend(write(&mut vm)?),
        Err(error) if error.is::<crate::bench::Cannot>() => values.extend([None, None]),
        Err(error) => return Err(error),
    }
    Ok(values)
}

/// Throughput of writing the file and of writing it again; it is gone behind.
fn write(vm: &mut Running) -> Result<Vec<Option<f64>>, Error> {
    vm.console().shell("usleep 300000")?;
    let first = timed(|| fill(vm, ""))?;
    let again = timed(|| fill(vm, "conv=notrunc"))?;
    vm.console().shell("rm /m/file")?;
    Ok([first, again].map(|time| Some(f64::from(FILE) / time * 1000.0)).to_vec())
}

fn fill(vm: &mut Running, more: &str) -> Result<(), Error> {
    let fill = format!("dd if=/dev/zero of=/m/file bs=1M count={FILE} {more}");
    vm.console().shell(&fill).map(drop)
}
