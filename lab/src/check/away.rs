//! Checks on other hosts: where there is no hardware-assisted KVM, workers in emulated hosts carry them out, one scenario
//! after the other on each of their seats.

use std::io;

use dimmer_images::Kernel;
use serde::{Deserialize, Serialize};

use super::entry::{Evidence, Which};
use super::guest::Seat;
use super::{Entry, Outcome};
use crate::host::crew::{self, Crew};
use crate::library::Source;

/// A scenario to check.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Check {
    /// The scenario's name.
    scenario: String,
    /// The kernel's.
    kernel: String,
    /// Whether another of the same batch follows on the seat.
    another: bool,
}

/// Has `crew` check a scenario on one of its seats. One whose host is lost could not be carried out.
pub fn check(crew: &Crew, seat: usize, source: &Source, kernel: &Kernel, another: bool) -> Entry {
    let check = Check { scenario: source.name.clone(), kernel: kernel.name.clone(), another };
    let failed = |error: String| {
        let outcome = Outcome::Failed { error, evidence: Evidence::default() };
        Entry::new(source, &kernel.name, outcome, Which::None)
    };
    match crew.carry_out::<_, Option<Entry>>(seat, &check) {
        Ok(Some(entry)) => entry,
        Ok(None) => failed("the worker does not know it".to_owned()),
        Err(lost) => failed(lost.to_string()),
    }
}

/// The other side: checks what it is asked to, of `sources` and on `kernels`, on seats that `seat` makes.
///
/// # Errors
/// Those of [`crew::serve`].
pub fn serve(sources: &[Source], kernels: &[Kernel], seat: impl Fn() -> Seat + Sync) -> io::Result<()> {
    crew::serve(|| {
        let mut seat = seat();
        move |Check { scenario, kernel, another }| {
            let source = sources.iter().find(|source| source.name == scenario)?;
            let kernel = kernels.iter().find(|known| known.name == kernel)?;
            Some(seat.check(source, kernel, another))
        }
    })
}
