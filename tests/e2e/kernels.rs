//! The library of scenarios on the other kernels that Debian has.
//!
//! They are fetched, and run, only when ignored tests are asked for.

use std::error::Error;

use dimmer_images::{Kernel, kernels};
use dimmer_lab::check::Plan;
use dimmer_lab::library::library;
use libtest_mimic::{Arguments, Trial};

use crate::library::{SHARES, holds, trial};

/// The kernels that no other test runs on.
const OTHERS: [&str; 3] = ["5.10", "6.18", "7"];

/// A test for each share of the library on each kernel.
pub fn trials(arguments: &Arguments) -> Result<Vec<Trial>, Box<dyn Error>> {
    if arguments.ignored || arguments.include_ignored {
        crate::fetched(&OTHERS)?;
        crate::fetched(&flavours(&OTHERS)?)?;
    }
    let shares = |name: &'static str| {
        let full = kernels::find(name).map_or(name, |source| source.name);
        (0..SHARES).map(move |share| trial(full, "kernels", share, move |test| on(test, name, share)))
    };
    Ok(OTHERS.into_iter().flat_map(shares).map(|trial| trial.with_ignored_flag(true)).collect())
}

/// The kernels that some scenarios boot instead of those of these `names`.
fn flavours<'a>(names: &[&'a str]) -> Result<Vec<&'a str>, Box<dyn Error>> {
    Ok(Plan::flavours(&library()?, names).into_iter().collect())
}

fn on(test: &str, name: &str, share: usize) -> crate::Outcome {
    let flavours = flavours(&[name])?.into_iter().map(Kernel::resolve);
    holds(test, share, &Kernel::resolve(name)?, &flavours.collect::<Result<Vec<_>, _>>()?)
}
