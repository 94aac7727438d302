//! The library of scenarios, in shares: what the built-in scenarios say holds on real guests.
//!
//! Those that run on a distribution are in `distribution.rs`. On each kernel another share runs, all of them when ignored tests are asked for; `dimmer-lab check` runs the same. So do
//! shares of machines that go on from a snapshot behind each step (`dimmer-lab check --restore-each-step`), which take several
//! times as long, are smaller for that, and run only when ignored tests are asked for.

use dimmer_images::Kernel;
use dimmer_lab::check::{Batch, Entry, Format, Plan, Report, Seat, Shard, run};
use dimmer_lab::library::library;

use crate::{Case, Outcome};

/// How many shares there are, small enough to keep all hosts busy to the end.
pub const SHARES: usize = 12;
/// How many other tests a share takes as long as.
pub const COST: u32 = 6;
/// How many shares there are of machines that go on from snapshots.
const RESTORED_SHARES: usize = 24;

/// Tests for each share on each of `kernels`. `flavours` are the kernels that some scenarios boot instead.
pub fn cases(kernels: &[Kernel], flavours: &[Kernel]) -> Vec<Case> {
    let on = |kernel: &Kernel, file, share: (usize, usize), is_ignored, seat: fn() -> Seat| {
        let (name, kernel, flavours) = (name(&kernel.name, file, share), kernel.clone(), flavours.to_vec());
        Case::new(name, is_ignored, move || holds(share, &kernel, &flavours, seat))
    };
    let mut cases = Vec::new();
    for (turn, kernel) in kernels.iter().enumerate() {
        let shares = (0..SHARES)
            .map(|share| on(kernel, "library", (share, SHARES), share != turn, Seat::default).costing(COST));
        cases.extend(shares);
    }
    for kernel in kernels {
        let shares = (0..RESTORED_SHARES).map(|share| {
            let restored = || Seat::new(true);
            on(kernel, "library_restored", (share, RESTORED_SHARES), true, restored).costing(2 * COST)
        });
        cases.extend(shares);
    }
    cases
}

/// The name of a share's test; `file` is the one that it belongs to.
pub fn name(kernel: &str, file: &str, (share, all): (usize, usize)) -> String {
    format!("{kernel}::{file}::share_{}_of_{all}", share + 1)
}

/// Fails unless all that the scenarios of a share (its number from 0, and how many there are) say holds on `kernel`, on the
/// seat that `seat` makes.
pub fn holds(
    (share, all): (usize, usize),
    kernel: &Kernel,
    flavours: &[Kernel],
    seat: fn() -> Seat,
) -> Outcome {
    let kernels = [kernel.clone()];
    let mut sources = library()?;
    sources.retain(|source| source.scenario.guest.distribution.is_none());
    let plan = Plan::new(&sources, &kernels, flavours, true);
    let share = Shard::new(share, all).ok_or("there is no such share")?;
    let batches = share.select(plan.batches, |batch| batch.cost());
    all_pass(&batches, seat)
}

/// Fails unless all scenarios of `batches` do as they say, one after the other.
pub fn all_pass(batches: &[Batch<'_>], seat: fn() -> Seat) -> Outcome {
    let mut entries: Vec<Entry> = Vec::new();
    run::here(batches, 1, seat, |entry| entries.push(entry));
    assert!(!entries.is_empty(), "every test has scenarios in it");
    let report = Report { shard: None, entries, seconds: 0.0 };
    if report.status() == 0 {
        return Ok(());
    }
    let mut text = Vec::new();
    report.write(Format::Human, &mut text)?;
    Err(String::from_utf8_lossy(&text).into_owned().into())
}
