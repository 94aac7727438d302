//! The library of scenarios on the other kernels that Debian has.
//!
//! They are fetched, and run, only when ignored tests are asked for.

use std::error::Error;

use dimmer_images::{Kernel, kernels};
use dimmer_lab::check::{Plan, Seat};
use dimmer_lab::library::library;
use libtest_mimic::Arguments;

use crate::Case;
use crate::library::{COST, SHARES, holds, name};

/// The kernels that no other test runs on.
const OTHERS: [&str; 3] = ["5.10", "6.18", "7"];

/// A test for each share of the library on each kernel.
pub fn cases(arguments: &Arguments) -> Result<Vec<Case>, Box<dyn Error>> {
    if arguments.ignored || arguments.include_ignored {
        crate::fetched(&OTHERS)?;
        crate::fetched(&flavours(&OTHERS)?)?;
    }
    let case = |kernel: &'static str, share| {
        let full = kernels::find(kernel).map_or(kernel, |source| source.name);
        let share = (share, SHARES);
        Case::new(name(full, "kernels", share), true, move || on(kernel, share)).costing(COST)
    };
    Ok(OTHERS.into_iter().flat_map(|kernel| (0..SHARES).map(move |share| case(kernel, share))).collect())
}

/// The kernels that some scenarios boot instead of those of these `names`.
fn flavours<'a>(names: &[&'a str]) -> Result<Vec<&'a str>, Box<dyn Error>> {
    Ok(Plan::flavours(&library()?, names).into_iter().collect())
}

fn on(name: &str, share: (usize, usize)) -> crate::Outcome {
    let flavours = flavours(&[name])?.into_iter().map(Kernel::resolve);
    holds(share, &Kernel::resolve(name)?, &flavours.collect::<Result<Vec<_>, _>>()?, Seat::default)
}
