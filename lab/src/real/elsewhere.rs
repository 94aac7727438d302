//! A machine that goes on elsewhere: written to a snapshot, ended, and gone on from, behind each step and in the middle of
//! those that take their time. Nothing that is seen of it may tell.

use std::time::{Duration, Instant};

use dimmer::ctl::client::{Method, segment};
use serde_json::Value;

use super::{LOOK_AGAIN, Real, RealError};
use crate::scenario::OutcomeWord;
use crate::vm::{TestVm, VmError};

/// How long a change may take that is to end.
const PATIENCE: Duration = Duration::from_secs(240);
/// Both ways in which memory is taken over, in turn.
const HOW: [&str; 2] = ["--restore-memory copy", "--restore-memory map"];

impl Real {
    /// From now on the machine goes on elsewhere again and again.
    pub fn restore_each_step(&mut self) {
        self.restores = Some(0);
    }

    /// Whether it does.
    pub(super) const fn goes_elsewhere(&self) -> bool {
        self.restores.is_some()
    }

    /// Has the machine go on elsewhere, if that was asked for.
    pub(super) fn go_elsewhere(&mut self) -> Result<(), RealError> {
        let Some(times) = self.restores else { return Ok(()) };
        let failed = |cause| VmError::Host { step: "make a directory for a snapshot", cause };
        let dir = tempfile::Builder::new().prefix("dimmer-snapshot-").tempdir().map_err(failed)?;
        let place = dir.path().join("snapshot");
        // What it would do between here and its end is for nobody.
        self.vm.rest.tell(Method::PUT, "/vm.pause", None)?;
        self.vm.snapshot(&place)?;
        let mut next = TestVm::restore(&place, HOW[times % HOW.len()])?;
        next.connect()?;
        self.vm = next;
        self.restores = Some(times + 1);
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
