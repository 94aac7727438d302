//! Where the time of a run goes: to booting, to carrying out steps, or to waiting for layouts.

use std::time::{Duration, Instant};

use dimmer_agent::report::Layout;
use serde::{Deserialize, Serialize};

use crate::check::subject::Subject;
use crate::scenario::Requests;
use crate::scenario::{Action, Effect};

/// Time in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Until the guest's agent answered.
    pub boot: u64,
    /// Until each step had ended.
    pub steps: u64,
    /// Until each layout had settled.
    pub layouts: u64,
    /// All of it, with the oracle's share.
    pub all: u64,
}

/// Whole milliseconds since `begun`.
pub fn since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Times {
    /// All of it.
    pub const fn total(self) -> Duration {
        Duration::from_millis(self.all)
    }
}

impl std::ops::AddAssign for Times {
    fn add_assign(&mut self, other: Self) {
        self.boot += other.boot;
        self.steps += other.steps;
        self.layouts += other.layouts;
        self.all += other.all;
    }
}

/// A guest with a watch.
#[derive(Debug)]
pub struct Timed<S> {
    /// The guest.
    pub subject: S,
    /// What it took so far.
    pub times: Times,
}

impl<S: Subject> Subject for Timed<S> {
    type Error = S::Error;

    fn apply(&mut self, action: &Action<'_>, predicted: &Effect) -> Result<Effect, S::Error> {
        let begun = Instant::now();
        let effect = self.subject.apply(action, predicted);
        self.times.steps += since(begun);
        effect
    }

    fn layout(&mut self) -> Result<Layout, S::Error> {
        let begun = Instant::now();
        let layout = self.subject.layout();
        self.times.layouts += since(begun);
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
