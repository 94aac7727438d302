//! The library of scenarios, in shares: what the built-in scenarios say holds on real guests.
//!
//! On each kernel other shares run, all of them when ignored tests are asked for; `dimmer-lab check` runs the same. So do
//! shares of machines that go on from a snapshot behind each step (`dimmer-lab check --restore-each-step`).

use dimmer_images::Kernel;
use dimmer_lab::check::{Entry, Format, Plan, Report, Seat, Shard, run};
use dimmer_lab::library::library;

use crate::{Case, Outcome};

/// How many shares there are, small enough to keep all hosts busy to the end.
pub const SHARES: usize = 12;
/// Of so many shares, one runs on each kernel by default.
const TURNS: usize = 4;
/// How many other tests a share takes as long as.
pub const COST: u32 = 6;

/// Tests for each share on each of `kernels`. `flavours` are the kernels that some scenarios boot instead.
pub fn cases(kernels: &[Kernel], flavours: &[Kernel]) -> Vec<Case> {
    let on = |turn: usize, kernel: &Kernel, share: usize, restored: bool| {
        let (kernel, flavours) = (kernel.clone(), flavours.to_vec());
        // Machines with much in their memory take minutes for each step, so it is the first share that runs by default.
        let (file, is_ignored, cost, seat): (_, _, _, fn() -> Seat) = match restored {
            false => ("library", share % TURNS != turn, COST, Seat::default),
            true => ("library_restored", share != 0, 4 * COST, || Seat::new(true)),
        };
        let name = name(&kernel.name, file, share);
        Case::new(name, is_ignored, move || holds(share, &kernel, &flavours, seat)).costing(cost)
    };
    let shares = |(turn, kernel), restored| (0..SHARES).map(move |share| on(turn, kernel, share, restored));
    let all = |restored| kernels.iter().enumerate().flat_map(move |kernel| shares(kernel, restored));
    all(false).chain(all(true)).collect()
}

/// The name of a share's test; `file` is the one that it belongs to.
pub fn name(kernel: &str, file: &str, share: usize) -> String {
    format!("{kernel}::{file}::share_{}_of_{SHARES}", share + 1)
}

/// Fails unless all that the share's scenarios say holds on `kernel`, on the seat that `seat` makes.
pub fn holds(share: usize, kernel: &Kernel, flavours: &[Kernel], seat: fn() -> Seat) -> Outcome {
    let (sources, kernels) = (library()?, [kernel.clone()]);
    let plan = Plan::new(&sources, &kernels, flavours, true);
    let share = Shard::new(share, SHARES).ok_or("there is no such share")?;
    let batches = share.select(plan.batches, |batch| batch.cost());
    let mut entries: Vec<Entry> = Vec::new();
    run::here(&batches, 1, seat, |entry| entries.push(entry));
    assert!(!entries.is_empty(), "every share has scenarios in it");
    let report = Report { shard: Some(share.to_string()), entries, seconds: 0.0 };
    if report.status() == 0 {
        return Ok(());
    }
    let mut text = Vec::new();
    report.write(Format::Human, &mut text)?;
    Err(String::from_utf8_lossy(&text).into_owned().into())
}
