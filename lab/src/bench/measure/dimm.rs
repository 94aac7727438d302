//! DIMMs that come and go.

use super::{Column, EVERY, Ground, Measure, Run, time, timed};
use crate::bench::machine::Machine;
use crate::bench::{Error, GIB};

pub static DIMM: Measure = Measure {
    name: "dimm",
    about: "DIMMs in a window of 16 slots: from the request until the guest's `_OST` for a new one, and until one is gone; \
        the mean of four, of 1 GiB each.",
    columns: &COLUMNS,
    most: EVERY,
    run: Run::Machines(run),
};

const COLUMNS: [Column; 2] = [time("plug 1 GiB"), time("eject 1 GiB")];
const DIMMS: u8 = 4;

fn run(ground: &Ground) -> Result<Vec<Option<f64>>, Error> {
    let mut vm = ground.boot(&Machine { slots: 16, dimms: 16 * GIB, ..Machine::default() })?;
    let mut control = vm.control(0)?;
    let (mut plugged, mut ejected) = (0.0, 0.0);
    for number in 0..DIMMS {
        plugged += timed(|| control.add_dimm(&format!("d{number}"), GIB))?;
    }
    for number in (0..DIMMS).rev() {
        ejected += timed(|| control.remove_dimm(&format!("d{number}")))?;
    }
    Ok(vec![Some(plugged / f64::from(DIMMS)), Some(ejected / f64::from(DIMMS))])
}
