//! What machine and guest have said since they were last asked: `_OST` reports, virtio-mem requests, the kernel's log.

use std::time::Instant;

use dimmer_agent::protocol::KernelLog;
use serde_json::Value;

use super::{LOOK_AGAIN, Real, RealError, SOON};
use crate::scenario::Requests;

/// What the lab itself puts into the guest's log.
const LOG_IS_READ: &str = "dimmer-lab-reads-the-log";

impl Real {
    /// What the drivers of the virtio-mem devices have asked for since this was last asked, by device.
    ///
    /// # Errors
    /// [`RealError::Rest`].
    pub fn new_requests(&mut self) -> Result<Requests, RealError> {
        Ok(self.requests.new_requests(&self.vm.rest)?)
    }

    /// What the kernel's log has since this was last asked, a line each. Texts that are `wanted` are waited for, since
    /// the kernel may say them after what they are about has ended.
    ///
    /// # Errors
    /// [`RealError::Guest`].
    pub fn new_log(&mut self, wanted: &[String]) -> Result<Vec<String>, RealError> {
        let end = Instant::now() + SOON;
        let mut all = Vec::new();
        loop {
            all.extend(self.more_log()?);
            let is_said = |text: &String| all.iter().any(|line: &String| line.contains(text.as_str()));
            if wanted.iter().all(is_said) || Instant::now() >= end {
                return Ok(all);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    fn more_log(&mut self) -> Result<Vec<String>, RealError> {
        // Some of Linux's messages lack their newline, such as that of an unaligned range: they stay open for more, and
        // nobody can read them, until the next message comes (`prb_commit`).
        self.vm.shell(&format!("echo {LOG_IS_READ} > /dev/kmsg"))?;
        let log = self.log_from(self.log)?;
        self.log = log.next;
        Ok(log.records.into_iter().map(|record| record.text).collect())
    }

    /// The kernel's log from record `since` on, without what the lab itself puts there.
    ///
    /// # Errors
    /// [`RealError::Guest`].
    pub fn log_from(&mut self, since: u64) -> Result<KernelLog, RealError> {
        let mut log = self.vm.guest().kernel_log(since)?;
        log.records.retain(|record| record.text != LOG_IS_READ);
        Ok(log)
    }

    /// The `_OST` pairs since this was last asked; as many as `expected` are waited for, since the guest's
    /// last report comes after the change has ended.
    pub(super) fn new_reports(&mut self, expected: usize) -> Result<Vec<(u32, u32)>, RealError> {
        let end = Instant::now() + SOON;
        let mut all = Vec::new();
        loop {
            let events = self.vm.rest.events_since(self.last_event)?;
            let last = events.last().and_then(|event| event["sequence"].as_u64());
            self.last_event = last.unwrap_or(self.last_event);
            all.extend(reports(&events));
            if all.len() >= expected || Instant::now() >= end {
                return Ok(all);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// The `_OST` pairs since this was last asked, which the next one to ask is told as well.
    pub(super) fn reports(&self) -> Result<Vec<(u32, u32)>, RealError> {
        Ok(reports(&self.vm.rest.events_since(self.last_event)?))
    }
}

/// The `_OST` pairs among events.
fn reports(events: &[Value]) -> Vec<(u32, u32)> {
    let number = |event: &Value, key: &str| {
        event[key].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(u32::MAX)
    };
    let reports = events.iter().filter(|event| event["event"] == "ost");
    reports.map(|event| (number(event, "source"), number(event, "status"))).collect()
}
