//! Machines that stand still in the middle of a history, so that others go on from there.
//!
//! A boot takes most of the time that a run alone would take, and a beginning that several histories have in common most of
//! what is left. So a seat keeps machines: one that has booted, and the ones at which histories part. Each task goes on from a
//! child of the one that is furthest on its way. The same serves candidates of a shrink, which differ at their ends.

use dimmer_oracle::mistake::Mistake;

use super::timed::{Spent, Timed};
use crate::check::judge::{CheckError, Checking};
use crate::check::subject::Forks;
use crate::scenario::{Guest, Machine, Scenario, Step};

/// Machines that a seat keeps, at most: each takes some 300 MiB of its host.
const MOST: usize = 4;

/// What a guest was booted for; another one needs another boot.
#[derive(Debug, Clone, PartialEq)]
struct Boot {
    kernel: String,
    machine: Machine,
    settings: Guest,
    mistake: Option<Mistake>,
}

/// A machine that stands still.
#[derive(Debug)]
struct Kept<S> {
    boot: Boot,
    /// The steps behind it.
    steps: Vec<Step>,
    subject: S,
    checking: Checking,
}

/// The place of the machines that are kept, each with the beginning of the next one's history.
#[derive(Debug)]
pub struct Seat<S>(Vec<Kept<S>>);

/// A history that is under way.
#[derive(Debug)]
pub struct UnderWay<S> {
    timed: Timed<S>,
    checking: Checking,
    /// Steps that are carried out.
    done: usize,
    /// What was taken over from a machine that was kept.
    taken: Taken,
}

/// How much of a history was carried out before, for others as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Taken {
    steps: usize,
    blocks: u64,
}

/// What is to be carried out.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The kernel's name.
    pub kernel: &'a str,
    /// The history.
    pub scenario: &'a Scenario,
    /// What the oracle is to get wrong.
    pub mistake: Option<Mistake>,
    /// After how many steps a machine is to be kept.
    pub keep: &'a [usize],
}

impl<S> Default for Seat<S> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<S: Forks> Seat<S> {
    /// Lets all machines go.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Lets all machines go that are not on the way of what is wanted.
    pub fn make_room(&mut self, wanted: &Wanted<'_>) {
        let boot = wanted.boot();
        let on_the_way =
            |kept: &&Kept<S>| kept.boot == boot && wanted.scenario.steps.starts_with(&kept.steps);
        let all = self.0.iter().take_while(on_the_way).count();
        // The last one goes first, as it is the child of the others.
        while self.0.len() > all {
            self.0.pop();
        }
    }

    /// Carries out the first `steps` steps, from where a machine was kept or else from what `boot` gives.
    ///
    /// # Errors
    /// [`CheckError`] when there is nothing to judge.
    pub fn begin(
        &mut self,
        wanted: &Wanted<'_>,
        steps: usize,
        boot: impl FnOnce() -> Result<S, S::Error>,
    ) -> Result<UnderWay<S>, CheckError> {
        self.make_room(wanted);
        let mut way = match self.0.last() {
            Some(kept) => kept.child()?,
            None => UnderWay::boot(wanted, boot)?,
        };
        loop {
            let is_kept = self.0.last().is_some_and(|kept| kept.steps.len() >= way.done);
            if wanted.keep.contains(&way.done) && !is_kept && !way.is_over() {
                way = self.keep(wanted, way)?;
            }
            if way.done >= steps || way.is_over() {
                return Ok(way);
            }
            way.step(&wanted.scenario.steps[way.done])?;
        }
    }

    /// Has a machine stand still, and goes on with its child.
    fn keep(&mut self, wanted: &Wanted<'_>, mut way: UnderWay<S>) -> Result<UnderWay<S>, CheckError> {
        if self.0.len() == MOST {
            // The one that has booted is the most that can be lost.
            self.0.remove(1);
        }
        let (step, spent, taken) = (way.done, way.timed.spent.clone(), way.taken);
        way.timed.subject.stand_still().map_err(|error| lost(step, error))?;
        let steps = wanted.scenario.steps[..way.done].to_vec();
        let (subject, checking) = (way.timed.subject, way.checking);
        self.0.push(Kept { boot: wanted.boot(), steps, subject, checking });
        let child = self.0.last().expect("it was just put there").child()?;
        Ok(UnderWay { taken, ..child }.having_spent(spent))
    }
}

impl Wanted<'_> {
    fn boot(&self) -> Boot {
        let Scenario { machine, guest, .. } = self.scenario.clone();
        Boot { kernel: self.kernel.to_owned(), machine, settings: guest, mistake: self.mistake }
    }
}

impl<S: Forks> Kept<S> {
    fn child(&self) -> Result<UnderWay<S>, CheckError> {
        let done = self.steps.len();
        let (subject, spent) = Spent::forking(|| self.subject.child());
        let subject = subject.map_err(|error| lost(done, error))?;
        let taken = Taken { steps: done, blocks: self.checking.blocks() };
        Ok(UnderWay { timed: Timed { subject, spent }, checking: self.checking.clone(), done, taken })
    }
}

impl<S: Forks> UnderWay<S> {
    fn boot(wanted: &Wanted<'_>, boot: impl FnOnce() -> Result<S, S::Error>) -> Result<Self, CheckError> {
        let (subject, spent) = Spent::booting(boot);
        let mut timed = Timed { subject: subject.map_err(|error| lost(0, error))?, spent };
        let checking = Checking::begin(&mut timed, wanted.scenario, wanted.mistake)?;
        Ok(Self { timed, checking, done: 0, taken: Taken::default() })
    }

    fn having_spent(mut self, spent: Spent) -> Self {
        self.timed.spent += spent;
        self
    }

    /// Whether nothing more can be said.
    pub const fn is_over(&self) -> bool {
        self.checking.is_over()
    }

    fn step(&mut self, step: &Step) -> Result<(), CheckError> {
        self.done += 1;
        self.checking.step(&mut self.timed, step)
    }

    /// Carries out the steps that are left, and says what came of all.
    ///
    /// # Errors
    /// [`CheckError`] when there is nothing to judge.
    pub fn end(mut self, scenario: &Scenario) -> Result<(Checking, Carried), CheckError> {
        while self.done < scenario.steps.len() && !self.is_over() {
            self.step(&scenario.steps[self.done])?;
        }
        let steps = self.done - self.taken.steps;
        let blocks = self.checking.blocks() - self.taken.blocks;
        Ok((self.checking, Carried { steps: steps as u64, blocks, spent: self.timed.spent }))
    }
}

/// What was carried out for one history alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Carried {
    /// Steps.
    pub steps: u64,
    /// Blocks that were held against the oracle.
    pub blocks: u64,
    /// Where the time went.
    pub spent: Spent,
}

fn lost<E: std::error::Error + Send + Sync + 'static>(step: usize, error: E) -> CheckError {
    CheckError::Subject { step, error: Box::new(error) }
}
