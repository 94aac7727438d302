//! What the sandbox takes of a start.

use dimmer::ctl::client::Method;

use super::{Column, EVERY, Ground, Measure, Run, time, timed};
use crate::bench::Error;
use crate::bench::statistics::median;
use crate::vm::{self, Setup};

pub static SANDBOX: Measure = Measure {
    name: "sandbox",
    about: "From the start of a machine's process to its first answer (`GET /vm.info`), in its sandbox and without one, in turn: \
        medians of nine starts each, and of the differences between two in turn.",
    columns: &COLUMNS,
    most: EVERY,
    run: Run::Dimmer(run),
};

const COLUMNS: [Column; 3] = [time("in its sandbox"), time("without"), time("the difference")];
const TIMES: usize = 9;

fn run(ground: &Ground) -> Result<Vec<Option<f64>>, Error> {
    vm::audited(|| {
        let (mut with, mut without, mut more) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..TIMES {
            let (on, off) = (start(ground, "--sandbox on")?, start(ground, "--sandbox off")?);
            with.push(on);
            without.push(off);
            more.push(on - off);
        }
        Ok([with, without, more].iter_mut().map(|times| median(times)).collect())
    })
}

fn start(ground: &Ground, sandbox: &str) -> Result<f64, Error> {
    let setup = Setup::new(&ground.kernel).arguments("--memory size=512M").arguments(sandbox);
    // Its end is not measured.
    let mut vm = None;
    timed(|| {
        vm.insert(setup.start()?).rest.tell(Method::GET, "/vm.info", None)?;
        Ok(())
    })
}
