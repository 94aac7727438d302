//! The worker's side: the machines, and which of the steps have passed.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use dimmer_images::Kernel;

use super::steps::Step;
use super::{Answer, Done, Outcome, STEPS, Task, Tested, facts};
use crate::vm::{self, TestVm, VmError};

/// Exit status of `dimmer run` where no machine starts on this host.
const BAD_HOST: i32 = 2;

/// Which machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one that was booted.
    First,
    /// The one that goes on from its snapshot.
    Restored,
    /// Its child.
    Child,
}

/// Where the steps are carried out.
#[derive(Debug)]
pub struct Place {
    /// What machines boot.
    pub(super) kernel: Kernel,
    /// More arguments of the first machine, split at blanks.
    pub(super) more: String,
    machines: [Option<TestVm>; 3],
    /// The step in which a machine was lost.
    lost: [Option<&'static str>; 3],
    passed: Vec<&'static str>,
    directory: tempfile::TempDir,
}

impl Place {
    /// A place where nothing was done; the first machine gets `more` arguments of `dimmer run`.
    ///
    /// # Errors
    /// When there can be no directory for a snapshot.
    pub fn new(kernel: &Kernel, more: &str) -> std::io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("dimmer-doctor-").tempdir()?;
        let (kernel, more) = (kernel.clone(), more.to_owned());
        Ok(Self {
            kernel,
            more,
            machines: [None, None, None],
            lost: [None; 3],
            passed: Vec::new(),
            directory,
        })
    }

    /// Does what is asked.
    pub fn answer(&mut self, task: Task) -> Answer {
        match task {
            Task::Facts => Answer::Facts(facts::of_the_host()),
            Task::Step(number) => Answer::Step(match STEPS.get(number) {
                Some(step) => self.carry_out(step),
                None => Outcome::failed("there is no such step".to_owned(), false),
            }),
        }
    }

    /// Carries out every step here, where there must be KVM.
    pub fn all(&mut self) -> Tested {
        let mut tested = Tested { host: facts::of_the_host(), ..Tested::default() };
        for step in &STEPS {
            let begun = Instant::now();
            let outcome = self.carry_out(step);
            tested.steps.push(Done { name: step.name, outcome, time: begun.elapsed() });
        }
        tested
    }

    /// Where the snapshot is.
    pub(super) fn snapshot(&self) -> PathBuf {
        self.directory.path().join("snapshot")
    }

    /// Puts a machine in its place.
    pub(super) fn put(&mut self, which: Which, vm: TestVm) {
        self.machines[which as usize] = Some(vm);
    }

    /// The machine in a place.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn machine(&mut self, which: Which) -> Result<&mut TestVm, String> {
        self.machines[which as usize].as_mut().ok_or_else(|| "there is no machine".to_owned())
    }

    fn carry_out(&mut self, step: &'static Step) -> Outcome {
        if let Some(why) = self.keeps(step) {
            return Outcome::LeftOut { why };
        }
        let mut outcome = None;
        let audited = vm::audited(|| {
            let ended = (step.run)(self);
            outcome =
                Some(ended.map_or_else(|error| self.failed(step, &*error), |seen| Outcome::Passed { seen }));
            Ok(())
        });
        let outcome = match (outcome, audited) {
            (Some(outcome), Ok(())) => outcome,
            (Some(outcome), Err(_)) if !outcome.is_passed() => outcome,
            (_, Err(error)) => Outcome::failed(crate::chain(&*error), false),
            (None, Ok(())) => unreachable!("without an error there is an outcome"),
        };
        if outcome.is_passed() {
            self.passed.push(step.name);
        }
        outcome
    }

    /// What keeps a step from being tried.
    fn keeps(&self, step: &Step) -> Option<String> {
        let lost = [Which::First, step.on].into_iter().find_map(|which| self.lost[which as usize]);
        let missing = || step.after.iter().find(|name| !self.passed.contains(name));
        match lost {
            Some(name) => Some(format!("the machine was lost in the step \"{name}\"")),
            None => missing().map(|name| format!("the step \"{name}\" has not passed")),
        }
    }

    /// What there is to say of a failure. A machine that has ended or whose guest does not answer is let go: nothing more can be
    /// asked of it.
    fn failed(&mut self, step: &'static Step, error: &(dyn Error + 'static)) -> Outcome {
        let place = step.on as usize;
        let (why, said, hopeless) = match error.downcast_ref::<VmError>() {
            Some(VmError::Ended { status, context }) => {
                let hopeless = status.code() == Some(BAD_HOST) && self.passed.is_empty();
                (format!("the machine ended ({status})"), context.clone(), hopeless)
            }
            Some(VmError::Guest { cause, context }) => (crate::chain(cause), context.clone(), false),
            _ => {
                let said = self.machines[place].as_ref().map(TestVm::context).unwrap_or_default();
                let why = crate::chain(error);
                match self.machines[place].as_mut().and_then(TestVm::silence) {
                    Some(silence) => (format!("{why}; {silence}"), said, false),
                    None => {
                        let said = said.trim_start().to_owned();
                        return Outcome::Failed { why, said, hopeless: false };
                    }
                }
            }
        };
        self.lost[place] = Some(step.name);
        self.machines[place] = None;
        Outcome::Failed { why, said: said.trim_start().to_owned(), hopeless }
    }
}

/// The machines' last audits come before anything else of it goes.
impl Drop for Place {
    fn drop(&mut self) {
        let audited = vm::audited(|| {
            self.machines = [None, None, None];
            Ok(())
        });
        if let Err(error) = audited {
            crate::output::complain(format_args!("dimmer-lab: {}", crate::chain(&*error)));
        }
    }
}
