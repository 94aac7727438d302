//! A machine that goes on elsewhere: written to a snapshot, ended, and gone on from, behind each step and in the middle of
//! those that take their time. Nothing that is seen of it may tell.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use dimmer::ctl::client::{Method, segment};
use serde_json::Value;

use super::{LOOK_AGAIN, Real, RealError};
use crate::scenario::OutcomeWord;
use crate::vm::{TestVm, VmError};

/// How long a change may take that is to end.
const PATIENCE: Duration = Duration::from_secs(240);
/// Both ways in which memory is taken over, in turn.
const HOW: [&str; 2] = ["--restore-memory copy --track", "--restore-memory map --track"];
/// Snapshots in a row, of which each but the first has what was written since the one before.
const LONGEST: usize = 6;

/// How a machine has come to be where it is.
#[derive(Debug, Default)]
pub(super) struct Journey {
    /// How often it went on elsewhere.
    times: usize,
    /// Its last snapshots. A machine whose memory lies over them needs their files.
    chain: Option<Chain>,
}

/// Snapshots that are numbered, and the directory that they are in.
#[derive(Debug)]
struct Chain {
    dir: tempfile::TempDir,
    length: usize,
}

impl Journey {
    /// The journey of a child, whose memory lies over none of the snapshots, and which has written none.
    pub(super) fn of_child(&self) -> Self {
        Self { times: self.times, chain: None }
    }
}

impl Chain {
    fn new() -> Result<Self, VmError> {
        let failed = |cause| VmError::Host { step: "make a directory for snapshots", cause };
        let dir = tempfile::Builder::new().prefix("dimmer-snapshot-").tempdir().map_err(failed)?;
        Ok(Self { dir, length: 0 })
    }

    fn place(&self, number: usize) -> PathBuf {
        self.dir.path().join(number.to_string())
    }

    /// Writes the next snapshot; gives its place.
    fn write(&mut self, vm: &TestVm) -> Result<PathBuf, VmError> {
        let place = self.place(self.length);
        match self.length.checked_sub(1) {
            None => vm.snapshot(&place)?,
            Some(last) => vm.difference(&place, &self.place(last))?,
        }
        self.length += 1;
        Ok(place)
    }
}

impl Real {
    /// From now on the machine goes on elsewhere again and again.
    pub fn restore_each_step(&mut self) {
        self.restores = Some(Journey::default());
    }

    /// Whether it does.
    pub(super) const fn goes_elsewhere(&self) -> bool {
        self.restores.is_some()
    }

    /// Has the machine go on elsewhere, if that was asked for.
    pub(super) fn go_elsewhere(&mut self) -> Result<(), RealError> {
        let Some(Journey { times, chain }) = self.restores.as_mut() else { return Ok(()) };
        let (old, mut next) = match chain.take() {
            Some(chain) if chain.length < LONGEST => (None, chain),
            old => (old, Chain::new()?),
        };
        // What it would do between here and its end is for nobody.
        self.vm.rest.tell(Method::PUT, "/vm.pause", None)?;
        let place = next.write(&self.vm)?;
        let mut vm = TestVm::restore(&place, HOW[*times % HOW.len()])?;
        vm.connect()?;
        self.vm = vm;
        drop(old);
        *times += 1;
        *chain = Some(next);
        Ok(())
    }

    /// Sends a request for a change of the memory device, has the machine go on elsewhere, and waits there until the change
    /// has ended; says how.
    pub(super) fn change_elsewhere(
        &mut self,
        id: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<OutcomeWord, RealError> {
        self.vm.rest.tell(method, path, body)?;
        self.go_elsewhere()?;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let answer = self.vm.rest.ask(Method::GET, &format!("/memory-devices/{}", segment(id)), None)?;
            match (answer.status, answer.body["state"].as_str()) {
                (404, _) => return Ok(OutcomeWord::Done),
                (_, Some("plugging" | "unplugging")) => std::thread::sleep(LOOK_AGAIN),
                _ if answer.body["last"]["outcome"] == "done" => return Ok(OutcomeWord::Done),
                _ => return Ok(OutcomeWord::Refused),
            }
        }
        Ok(OutcomeWord::InProgress)
    }
}
