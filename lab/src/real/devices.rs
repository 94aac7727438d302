//! Steps with memory devices, on a real machine.

use std::time::{Duration, Instant};

use dimmer::ctl::client::{Method, segment};
use serde_json::{Value, json};

use super::{LOOK_AGAIN, Real, RealError};
use crate::guest::GuestError;
use crate::scenario::{Effect, FaultText, NotifyWord, OutcomeWord, Plug, Size};

/// Seconds that a change may take which is to end.
pub(super) const PATIENCE: u32 = 240;
/// The status of a device that is not there.
pub(super) const NOT_FOUND: u16 = 404;

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

    pub(super) fn fault(&mut self, faults: &[FaultText]) -> Result<Effect, RealError> {
        let faults: Vec<_> = faults.iter().map(|text| json!(text.fault)).collect();
        self.vm.rest.set_faults(&json!(faults))?;
        Ok(Effect::default())
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
