//! What the drivers of a machine's virtio-mem devices asked for, step by step, from the machine's own log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dimmer::ctl::client::Method;
use dimmer_oracle::virtio_mem::Request;
use serde_json::Value;

use crate::rest::{Rest, RestError};

/// How long a driver is to ask for nothing to be taken as done with what it can do, and the time between two looks.
const QUIET: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How far the log of each device was read.
#[derive(Debug, Clone, Default)]
pub struct RequestLog {
    last: BTreeMap<String, u64>,
}

impl RequestLog {
    /// The requests since the last call that were carried out, by device.
    ///
    /// # Errors
    /// [`RestError`], also when the machine has not kept all of them.
    pub fn new_requests(&mut self, rest: &Rest) -> Result<BTreeMap<String, Vec<Request>>, RestError> {
        let mut all = BTreeMap::new();
        for id in virtio_mem_devices(rest)? {
            let last = self.last.entry(id.clone()).or_default();
            let records = rest.requests(&id)?;
            let new = records.iter().filter(|record| number(record) > *last);
            if new.clone().next().is_some_and(|first| number(first) != *last + 1) {
                return Err(lost(&id));
            }
            let requests: Vec<Request> = new.filter_map(request).collect();
            *last = records.last().map_or(*last, number);
            if !requests.is_empty() {
                all.insert(id, requests);
            }
        }
        Ok(all)
    }
}

/// Waits until the driver of the device `id` has asked for nothing for a while.
///
/// # Errors
/// [`RestError`].
pub fn wait_until_quiet(rest: &Rest, id: &str) -> Result<(), RestError> {
    let latest = || Ok::<_, RestError>(rest.requests(id)?.last().map_or(0, number));
    let (mut last, mut since) = (latest()?, Instant::now());
    while since.elapsed() < QUIET {
        std::thread::sleep(LOOK_AGAIN);
        let now = latest()?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(())
}

fn virtio_mem_devices(rest: &Rest) -> Result<Vec<String>, RestError> {
    let devices = rest.tell(Method::GET, "/memory-devices", None)?;
    let devices = devices.as_array().into_iter().flatten().filter(|device| device["kind"] == "virtio-mem");
    Ok(devices.filter_map(|device| device["id"].as_str()).map(str::to_owned).collect())
}

fn number(record: &Value) -> u64 {
    record["number"].as_u64().unwrap_or_default()
}

/// What a record says, when it changed what is plugged.
fn request(record: &Value) -> Option<Request> {
    if record["response"] != "ack" {
        return None;
    }
    let range = || {
        let (start, size) = (record["range"]["start"].as_u64()?, record["range"]["size"].as_u64()?);
        Some(start..start + size)
    };
    match record["request"].as_str()? {
        "plug" => Some(Request::Plug(range()?)),
        "unplug" => Some(Request::Unplug(range()?)),
        "unplug-all" => Some(Request::UnplugAll),
        _ => None,
    }
}

fn lost(id: &str) -> RestError {
    let detail = "the machine has not kept all requests of this step; make it smaller".to_owned();
    RestError::Refused { request: format!("GET /memory-devices/{id}/requests"), status: 200, detail }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_was_carried_out_counts() {
        let range = json!({"start": 0x1_8000_0000_u64, "size": 0x20_0000});
        let record = |request: &str, response: &str| {
            super::request(&json!({"number": 1, "request": request, "range": range, "response": response}))
        };
        let bytes = 0x1_8000_0000..0x1_8020_0000;
        assert_eq!(record("plug", "ack"), Some(Request::Plug(bytes.clone())));
        assert_eq!(record("unplug", "ack"), Some(Request::Unplug(bytes)));
        assert_eq!(record("unplug-all", "ack"), Some(Request::UnplugAll));
        assert_eq!((record("plug", "nack"), record("state", "plugged")), (None, None));
    }
}
