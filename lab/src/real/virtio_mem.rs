//! Steps with virtio-mem devices, on a real machine.

use std::time::{Duration, Instant};

use dimmer::ctl::client::{Method, segment};
use serde_json::{Value, json};

use super::devices::{NOT_FOUND, PATIENCE};
use super::requests::wait_until_quiet;
use super::{LOOK_AGAIN, Real, RealError, SOON};
use crate::scenario::{Add, Effect, OutcomeWord, Resize};

/// A driver of a virtio-mem device tries again after up to 300 seconds.
const TRIES_AGAIN: Duration = Duration::from_secs(400);
/// Between two looks at what takes that long, while other guests want the processor.
const LOOK_LATER: Duration = Duration::from_millis(500);

impl Real {
    pub(super) fn resize(&mut self, resize: &Resize, predicted: &Effect) -> Result<Effect, RealError> {
        if predicted.outcome == Some(OutcomeWord::Refused) {
            return self.resize_in_vain(resize);
        }
        let path = format!("/memory-devices/{}", segment(&resize.id));
        let body = json!({"requested_size": resize.to.0});
        if predicted.outcome == Some(OutcomeWord::Done) && predicted.open.is_empty() {
            match self.goes_elsewhere() {
                true => drop(self.change_elsewhere(&resize.id, Method::PATCH, &path, Some(&body))?),
                false => drop(self.vm.rest.resize(&resize.id, resize.to.0)?),
            }
        } else {
            self.vm.rest.tell(Method::PATCH, &path, Some(&body))?;
            self.go_elsewhere()?;
            match predicted.plugged {
                Some(plugged) if predicted.open.is_empty() => self.wait_for_plugged(&resize.id, plugged)?,
                _ => wait_until_quiet(&self.vm.rest, &resize.id)?,
            }
            self.vm.settled()?;
        }
        let device = self.vm.rest.device(&resize.id)?;
        let plugged = device["plugged_size"].as_u64();
        let done = plugged == Some(resize.to.0);
        let outcome = if done { OutcomeWord::Done } else { OutcomeWord::InProgress };
        Ok(Effect { outcome: Some(outcome), plugged, ..Effect::default() })
    }

    /// Asks for a size that the machine is to refuse.
    fn resize_in_vain(&mut self, resize: &Resize) -> Result<Effect, RealError> {
        let path = format!("/memory-devices/{}", segment(&resize.id));
        let answer = self.vm.rest.ask(Method::PATCH, &path, Some(&json!({"requested_size": resize.to.0})))?;
        let refused = answer.status == 409;
        let outcome = if refused { OutcomeWord::Refused } else { OutcomeWord::InProgress };
        let plugged = self.vm.rest.device(&resize.id)?["plugged_size"].as_u64();
        Ok(Effect { outcome: Some(outcome), plugged, ..Effect::default() })
    }

    /// What the machine's virtio-mem device has plugged, when there is one and no more.
    pub(crate) fn plugged_by_the_only_device(&self) -> Result<Option<u64>, RealError> {
        let devices = self.vm.rest.tell(Method::GET, "/memory-devices", None)?;
        let all = devices.as_array().into_iter().flatten();
        let sizes: Vec<_> = all.filter(|device| device["kind"] == "virtio-mem").collect();
        let [only] = sizes[..] else { return Ok(None) };
        Ok(only["plugged_size"].as_u64())
    }

    /// Waits until the device has as much plugged as it is to have, or for a while.
    fn wait_for_plugged(&self, id: &str, plugged: u64) -> Result<(), RealError> {
        let end = Instant::now() + SOON;
        while self.vm.rest.device(id)?["plugged_size"].as_u64() != Some(plugged) && Instant::now() < end {
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// Puts a device into a place; as with [`resize`](Self::resize), where it is to end up decides what is waited for.
    pub(super) fn add(&mut self, add: &Add, predicted: &Effect) -> Result<Effect, RealError> {
        let new = add.device();
        let mut body = json!({"id": new.id, "kind": "virtio-mem", "requested_size": new.requested_size});
        let more =
            [("size", json!(new.size)), ("block_size", json!(new.block_size)), ("node", json!(new.node))];
        for (field, value) in more.into_iter().filter(|(_, value)| !value.is_null()) {
            body[field] = value;
        }
        if predicted.outcome == Some(OutcomeWord::Done) && predicted.open.is_empty() {
            match self.goes_elsewhere() {
                true => drop(self.change_elsewhere(&new.id, Method::POST, "/memory-devices", Some(&body))?),
                false => {
                    let path = format!("/memory-devices?wait={PATIENCE}");
                    drop(self.vm.rest.ask(Method::POST, &path, Some(&body))?);
                }
            }
        } else {
            self.vm.rest.tell(Method::POST, "/memory-devices", Some(&body))?;
            self.go_elsewhere()?;
            wait_until_quiet(&self.vm.rest, &new.id)?;
            self.vm.settled()?;
        }
        let device = self.vm.rest.device(&new.id)?;
        let plugged = device["plugged_size"].as_u64();
        let done = device["last"]["outcome"] == "done" && plugged == Some(new.requested_size);
        let outcome = if done { OutcomeWord::Done } else { OutcomeWord::InProgress };
        Ok(Effect { outcome: Some(outcome), plugged, ..Effect::default() })
    }

    /// Asks the guest to let a device go, and has it unbind the driver.
    pub(super) fn remove(&mut self, id: &str) -> Result<Effect, RealError> {
        let effect = |outcome| Ok(Effect { outcome: Some(outcome), ..Effect::default() });
        let path = format!("/memory-devices/{}", segment(id));
        let answer = self.vm.rest.ask(Method::DELETE, &path, None)?;
        match answer.status {
            200 | 202 => {}
            409 => return effect(OutcomeWord::Refused),
            status => {
                let request = format!("DELETE {path}");
                return Err(RealError::Answer { request, status, body: answer.body });
            }
        }
        self.go_elsewhere()?;
        self.vm.unbind_absent()?;
        let end = Instant::now() + SOON;
        while Instant::now() < end {
            if self.vm.rest.ask(Method::GET, &path, None)?.status == NOT_FOUND {
                return effect(OutcomeWord::Done);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        effect(OutcomeWord::InProgress)
    }

    /// Waits until every virtio-mem device has what it asks for.
    pub(super) fn settle(&mut self) -> Result<Effect, RealError> {
        let end = Instant::now() + TRIES_AGAIN;
        let late = |device: &Value| {
            device["kind"] == "virtio-mem" && device["plugged_size"] != device["requested_size"]
        };
        while Instant::now() < end {
            let devices = self.vm.rest.tell(Method::GET, "/memory-devices", None)?;
            if !devices.as_array().is_some_and(|all| all.iter().any(late)) {
                return Ok(Effect { outcome: Some(OutcomeWord::Done), ..Effect::default() });
            }
            std::thread::sleep(LOOK_LATER);
        }
        Ok(Effect { outcome: Some(OutcomeWord::InProgress), ..Effect::default() })
    }
}
