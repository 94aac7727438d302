//! What a DIMM takes in a machine with many.

use super::{Column, Ground, Measure, Run, time, timed};
use crate::bench::machine::Machine;
use crate::bench::statistics::median;
use crate::bench::{Error, GIB, MIB};

pub static SLOTS: Measure = Measure {
    name: "slots",
    about: "A DIMM of 128 MiB in the first, the 256th and the 1,000th of 1,024 slots, with all slots before it in use: from \
        the request until the guest's `_OST`, the median of five times, in the first round alone. The guest keeps what \
        describes a DIMM's pages on the DIMM.",
    columns: &COLUMNS,
    most: 1,
    run: Run::Dimmer(run),
};

const COLUMNS: [Column; 3] = [time("slot 1"), time("slot 256"), time("slot 1,000")];
const SLOTS_THAT_COUNT: [u32; 3] = [1, 256, 1000];
const TIMES: u32 = 5;
const DIMM: u64 = 128 * MIB;

fn run(ground: &Ground) -> Result<Vec<Option<f64>>, Error> {
    let machine = Machine { slots: 1024, dimms: 160 * GIB, ..Machine::default() };
    let mut vm = ground.boot_with(&machine, "memory_hotplug.memmap_on_memory=1")?;
    let mut control = vm.control(0)?;
    let mut values = Vec::new();
    for slot in 1..=1000 {
        let id = format!("d{slot}");
        control.add_dimm(&id, DIMM)?;
        if SLOTS_THAT_COUNT.contains(&slot) {
            let mut times = Vec::new();
            for _ in 0..TIMES {
                control.remove_dimm(&id)?;
                times.push(timed(|| control.add_dimm(&id, DIMM))?);
            }
            values.push(median(&mut times));
        }
    }
    Ok(values)
}
