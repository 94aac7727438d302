//! A virtio-mem device that grows and shrinks.

use super::{Column, EVERY, Ground, Measure, Run, time, timed};
use crate::bench::machine::Machine;
use crate::bench::{Error, GIB, MIB};

pub static RESIZE: Measure = Measure {
    name: "resize",
    about: "A virtio-mem device of 8 GiB grows from nothing and shrinks to nothing: from the request until the device has \
        just the size that was asked for. The guest has not touched the memory.",
    columns: &COLUMNS,
    most: EVERY,
    run: Run::Machines(run),
};

const COLUMNS: [Column; 6] = [
    time("grow by 128 MiB"),
    time("shrink by 128 MiB"),
    time("grow by 1 GiB"),
    time("shrink by 1 GiB"),
    time("grow by 4 GiB"),
    time("shrink by 4 GiB"),
];
const SIZES: [u64; 3] = [128 * MIB, GIB, 4 * GIB];

fn run(ground: &Ground) -> Result<Vec<Option<f64>>, Error> {
    let mut vm = ground.boot(&Machine { window: 8 * GIB, ..Machine::default() })?;
    let mut control = vm.control(0)?;
    let mut values = Vec::new();
    for size in SIZES.into_iter().flat_map(|size| [size, 0]) {
        values.push(Some(timed(|| control.resize(size))?));
        // The device is done before the guest is: what its last request brought is still being put online.
        vm.console().shell("usleep 300000")?;
    }
    Ok(values)
}
