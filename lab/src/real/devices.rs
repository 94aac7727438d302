//! Steps with memory devices, on a real machine.

use std::time::{Duration, Instant};

use dimmer::ctl::client::{Method, segment};
use serde_json::{Value, json};

use super::requests::wait_until_quiet;
use super::{LOOK_AGAIN, Real, RealError, SOON};
use crate::guest::GuestError;
use crate::scenario::{Effect, FaultText, NotifyWord, OutcomeWord, Plug, Resize, Size};

/// Seconds that a change may take which is to end.
const PATIENCE: u32 = 240;
/// A driver of a virtio-mem device tries again after up to 300 seconds.
const TRIES_AGAIN: Duration = Duration::from_secs(400);
/// Between two looks at what takes that long, while other guests want the processor.
const LOOK_LATER: Duration = Duration::from_millis(500);
/// The status of a device that is not there.
const NOT_FOUND: u16 = 404;

impl Real {
    pub(super) fn plug(&mut self, plug: &Plug, predicted: &Effect) -> Result<Effect, RealError> {
        let ends = predicted.outcome == Some(OutcomeWord::Done);
        let mut answer = Value::Null;
        for (number, id) in plug.ids().into_iter().enumerate() {
            let notify = plug.notify(number);
            let wait = if ends && notify != NotifyWord::None { PATIENCE } else { 0 };
            let path = format!("/memory-devices?wait={wait}");
            let path = if wait == 0 { "/memory-devices" } else { &path };
            let request = body(id.clone(), plug, notify);
            if wait > 0 && self.goes_elsewhere() {
                let outcome = self.change_elsewhere(&id, Method::POST, "/memory-devices", Some(&request))?;
                answer = json!({"state": if outcome == OutcomeWord::Done { "plugged" } else { "" }});
            } else {
                answer = self.vm.rest.tell(Method::POST, path, Some(&request))?;
            }
        }
        let done = answer["state"] == "plugged";
        let outcome = if done { OutcomeWord::Done } else { OutcomeWord::InProgress };
        Ok(Effect { outcome: Some(outcome), ..Effect::default() })
    }

    pub(super) fn unplug(&mut self, id: &str, predicted: &Effect) -> Result<Effect, RealError> {
        let path = format!("/memory-devices/{}", segment(id));
        let answer = match predicted.outcome {
            Some(OutcomeWord::InProgress) => self.vm.rest.ask(Method::DELETE, &path, None)?,
            _ if self.goes_elsewhere() => {
                let outcome = self.change_elsewhere(id, Method::DELETE, &path, None)?;
                return Ok(Effect { outcome: Some(outcome), ..Effect::default() });
            }
            _ => self.vm.rest.remove_dimm(id)?,
        };
        let outcome = match answer.status {
            200 => OutcomeWord::Done,
            409 => OutcomeWord::Refused,
            202 | 504 => OutcomeWord::InProgress,
            status => {
                let request = format!("DELETE /memory-devices/{id}");
                return Err(RealError::Answer { request, status, body: answer.body });
            }
        };
        Ok(Effect { outcome: Some(outcome), ..Effect::default() })
    }

    /// The guest ejects a device by itself; that has ended when the device is gone, or the guest has reported
    /// something else than progress.
    pub(super) fn eject(&mut self, id: &str, predicted: &Effect) -> Result<Effect, RealError> {
        let effect = |outcome| Ok(Effect { outcome: Some(outcome), ..Effect::default() });
        let slot = self.vm.rest.device(id)?["slot"].as_u64().and_then(|slot| u32::try_from(slot).ok());
        match self.vm.guest().eject(slot.unwrap_or(u32::MAX)) {
            Err(GuestError::Refused(_)) => return effect(OutcomeWord::Refused),
            other => other?,
        }
        if predicted.outcome == Some(OutcomeWord::InProgress) {
            return effect(OutcomeWord::InProgress);
        }
        self.go_elsewhere()?;
        let end = Instant::now() + Duration::from_secs(PATIENCE.into());
        while Instant::now() < end {
            let path = format!("/memory-devices/{}", segment(id));
            if self.vm.rest.ask(Method::GET, &path, None)?.status == NOT_FOUND {
                return effect(OutcomeWord::Done);
            }
            if self.reports()?.iter().any(|(_, status)| *status != 0x84) {
                return effect(OutcomeWord::Refused);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        effect(OutcomeWord::InProgress)
    }

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

    pub(super) fn fault(&mut self, faults: &[FaultText]) -> Result<Effect, RealError> {
        let faults: Vec<_> = faults.iter().map(|text| json!(text.fault)).collect();
        self.vm.rest.set_faults(&json!(faults))?;
        Ok(Effect::default())
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

/// The request's body for one device.
fn body(id: String, plug: &Plug, notify: NotifyWord) -> Value {
    let mut body = json!({"id": id, "kind": "dimm", "node": plug.node, "notify": notify.word()});
    if let Some(size) = plug.size {
        body["size"] = json!(size.0);
    }
    if let Some(ranges) = &plug.ranges {
        body["ranges"] = ranges_json(ranges);
    }
    if plug.descending {
        body["order"] = json!("descending");
    }
    if plug.unaligned {
        body["unaligned"] = json!(true);
    }
    for (field, place) in [("start", plug.start), ("align", plug.align)] {
        if let Some(Size(bytes)) = place {
            body[field] = json!(bytes);
        }
    }
    body
}

/// The ranges of a request's body.
fn ranges_json(text: &str) -> Value {
    let ranges = text.parse::<dimmer::cli::RangesArg>().map(|dimmer::cli::RangesArg(ranges)| ranges);
    serde_json::to_value(ranges.unwrap_or_default()).unwrap_or_default()
}
