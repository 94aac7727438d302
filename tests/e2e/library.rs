//! The library of scenarios, in shares: what the built-in scenarios say holds on real guests.
//!
//! On each kernel another share runs, all of them when ignored tests are asked for; `dimmer-lab check` runs the same.

use dimmer_images::Kernel;
use dimmer_lab::check::{Entry, Format, Outcome as CheckOutcome, Plan, Report, Shard, run};
use dimmer_lab::library::library;
use dimmer_lab::{chain, vm};
use libtest_mimic::{Failed, Trial};

use crate::{Outcome, fleet};

/// How many shares there are.
pub const SHARES: usize = 4;

/// A test for each share on each of `kernels`. `flavours` are the kernels that some scenarios boot instead.
pub fn trials(kernels: &[Kernel], flavours: &[Kernel]) -> Vec<Trial> {
    let on = |turn: usize, kernel: &Kernel, share: usize| {
        let (name, kernel, flavours) = (kernel.name.clone(), kernel.clone(), flavours.to_vec());
        let trial = trial(&name, "library", share, move |name| holds(name, share, &kernel, &flavours));
        trial.with_ignored_flag(share != turn)
    };
    let shares = |(turn, kernel)| (0..SHARES).map(move |share| on(turn, kernel, share));
    kernels.iter().enumerate().flat_map(shares).collect()
}

/// The test of a share on a kernel, which is given its name; `file` is the one that it belongs to.
pub fn trial(
    kernel: &str,
    file: &str,
    share: usize,
    holds: impl FnOnce(&str) -> Outcome + Send + 'static,
) -> Trial {
    let name = format!("{kernel}::{file}::share_{}_of_{SHARES}", share + 1);
    Trial::test(name.clone(), move || {
        fleet::check_host(&name)?;
        vm::audited(|| holds(&name)).map_err(|error| Failed::from(chain(&*error)))
    })
}

/// Fails unless all that the share's scenarios say holds on `kernel`.
pub fn holds(name: &str, share: usize, kernel: &Kernel, flavours: &[Kernel]) -> Outcome {
    let (sources, kernels) = (library()?, [kernel.clone()]);
    let plan = Plan::new(&sources, &kernels, flavours, true);
    let share = Shard::new(share, SHARES).ok_or("there is no such share")?;
    let batches = share.select(plan.batches, |batch| batch.cost());
    let mut entries: Vec<Entry> = Vec::new();
    run::run(&batches, 1, |entry| entries.push(entry));
    assert!(!entries.is_empty(), "every share has scenarios in it");
    let report = Report { shard: Some(share.to_string()), entries, seconds: 0.0 };
    if report.status() == 0 {
        return Ok(());
    }
    // Each was run twice.
    let is_lost = |outcome: &CheckOutcome| {
        matches!(outcome, CheckOutcome::Failed { error, .. } if vm::is_lost(error)) || outcome.is_passed()
    };
    if report.entries.iter().all(|entry| is_lost(&entry.outcome)) {
        fleet::guest_lost(name);
    }
    let mut text = Vec::new();
    report.write(Format::Human, &mut text)?;
    Err(String::from_utf8_lossy(&text).into_owned().into())
}
