//! Where the time of a run goes: to booting, to forks, to carrying out steps, or to waiting for layouts.

use std::collections::BTreeMap;
use std::time::Instant;

use dimmer_agent::report::Layout;
use serde::{Deserialize, Serialize};

use crate::check::subject::Subject;
use crate::scenario::Requests;
use crate::scenario::{Action, Effect};

/// Time in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Until the guest's agent answered.
    pub boot: u64,
    /// Until the agents of children answered.
    pub forks: u64,
    /// Until each step had ended.
    pub steps: u64,
    /// Until each layout had settled.
    pub layouts: u64,
    /// The time of steps by their kinds, and how many there were.
    pub kinds: BTreeMap<String, (u64, u64)>,
}

/// Whole milliseconds since `begun`.
pub fn since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Spent {
    /// All of it.
    pub const fn total(&self) -> u64 {
        self.boot + self.forks + self.steps + self.layouts
    }

    /// What `boot` takes.
    pub fn booting<T>(boot: impl FnOnce() -> T) -> (T, Self) {
        let begun = Instant::now();
        let booted = boot();
        (booted, Self { boot: since(begun), ..Self::default() })
    }

    /// What `fork` takes.
    pub fn forking<T>(fork: impl FnOnce() -> T) -> (T, Self) {
        let begun = Instant::now();
        let forked = fork();
        (forked, Self { forks: since(begun), ..Self::default() })
    }
}

impl std::ops::AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.boot += other.boot;
        self.forks += other.forks;
        self.steps += other.steps;
        self.layouts += other.layouts;
        for (kind, (time, count)) in other.kinds {
            let all = self.kinds.entry(kind).or_default();
            *all = (all.0 + time, all.1 + count);
        }
    }
}

/// A guest with a watch.
#[derive(Debug)]
pub struct Timed<S> {
    /// The guest.
    pub subject: S,
    /// What it took so far.
    pub spent: Spent,
}

impl<S: Subject> Subject for Timed<S> {
    type Error = S::Error;

    fn apply(&mut self, action: &Action<'_>, predicted: &Effect) -> Result<Effect, S::Error> {
        let begun = Instant::now();
        let effect = self.subject.apply(action, predicted);
        let time = since(begun);
        self.spent.steps += time;
        let kind = self.spent.kinds.entry(action.name().to_owned()).or_default();
        *kind = (kind.0 + time, kind.1 + 1);
        effect
    }

    fn layout(&mut self) -> Result<Layout, S::Error> {
        let begun = Instant::now();
        let layout = self.subject.layout();
        self.spent.layouts += since(begun);
        layout
    }

    fn requests(&mut self) -> Result<Requests, S::Error> {
        self.subject.requests()
    }

    fn plugged(&mut self) -> Result<Option<u64>, S::Error> {
        self.subject.plugged()
    }

    fn log(&mut self, wanted: &[String]) -> Result<Vec<String>, S::Error> {
        self.subject.log(wanted)
    }

    fn ran_out_of_memory(&self) -> bool {
        self.subject.ran_out_of_memory()
    }
}
