//! Stand-ins for the tests of this crate: an interrupt line, an output, host memory and a sink
//! that record what the devices do with them.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::alarm::{Alarm, Purpose};
use crate::bus::lock;
use crate::irq::IrqLine;
use crate::memory::{
    Afterwards, EventSink, GuestRange, HostError, HostMemory, MemoryEvent, MemoryStatus, Outcome,
};

/// An interrupt line that can be looked at.
#[derive(Debug, Default)]
pub(crate) struct Line(AtomicBool);

impl Line {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn is_high(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl IrqLine for Line {
    fn set(&self, high: bool) {
        self.0.store(high, Ordering::SeqCst);
    }
}

/// A writer whose bytes can be looked at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        lock(&self.0).clone()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a device asked of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Back(GuestRange),
    Unback(GuestRange),
    Release(GuestRange, Afterwards),
}

#[derive(Debug, Default)]
struct Host {
    calls: Vec<Call>,
    /// Backed runs by their first address: size and owner. Neighbours of one owner are one run.
    backed: BTreeMap<u64, (u64, String)>,
    fail: Option<Box<Matcher>>,
}

struct Matcher(Box<dyn Fn(Call) -> bool + Send>);

impl std::fmt::Debug for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Matcher")
    }
}

/// Host memory that records every call, refuses calls that break its contract, and fails the
/// calls it was told to.
#[derive(Debug, Default)]
pub(crate) struct FakeHost(Mutex<Host>);

impl FakeHost {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// From now on calls for which `fails` is true fail.
    pub(crate) fn fail_when(&self, fails: impl Fn(Call) -> bool + Send + 'static) {
        lock(&self.0).fail = Some(Box::new(Matcher(Box::new(fails))));
    }

    /// From now on every call succeeds.
    pub(crate) fn recover(&self) {
        lock(&self.0).fail = None;
    }

    /// The successful calls since this was last asked.
    pub(crate) fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut lock(&self.0).calls)
    }

    /// What is backed now, ascending; neighbours of one owner are one range.
    pub(crate) fn backed(&self) -> Vec<GuestRange> {
        lock(&self.0).backed.iter().map(|(start, (size, _))| GuestRange::new(*start, *size)).collect()
    }

    fn record(&self, call: Call, owner: &str) -> Result<(), HostError> {
        let mut host = lock(&self.0);
        if host.fail.as_ref().is_some_and(|matcher| (matcher.0)(call)) {
            return Err(HostError("out of memory".to_owned()));
        }
        match call {
            Call::Back(range) => host.back(owner, range),
            Call::Unback(range) => host.unback(owner, range),
            Call::Release(..) => {}
        }
        host.calls.push(call);
        Ok(())
    }
}

impl Host {
    fn back(&mut self, owner: &str, mut range: GuestRange) {
        let overlaps =
            |(start, (size, _)): (&u64, &(u64, String))| GuestRange::new(*start, *size).overlaps(&range);
        assert!(!self.backed.iter().any(overlaps), "{range:x?} is backed already");
        if let Some((size, _)) = self.backed.get(&range.end()).filter(|(_, other)| other == owner).cloned() {
            self.backed.remove(&range.end());
            range.size += size;
        }
        let before = self.backed.range(..range.start).next_back();
        let before = before.map(|(start, (size, other))| (GuestRange::new(*start, *size), other == owner));
        if let Some((before, true)) = before.filter(|(before, _)| before.end() == range.start) {
            range = GuestRange::new(before.start, before.size + range.size);
        }
        self.backed.insert(range.start, (range.size, owner.to_owned()));
    }

    fn unback(&mut self, owner: &str, range: GuestRange) {
        let run = self.backed.range(..=range.start).next_back();
        let run = run.map(|(start, (size, other))| (GuestRange::new(*start, *size), other == owner));
        let Some((run, true)) = run.filter(|(run, _)| run.contains(&range)) else {
            panic!("{range:x?} is not backed for {owner}");
        };
        self.backed.remove(&run.start);
        for (start, end) in [(run.start, range.start), (range.end(), run.end())] {
            if start < end {
                self.backed.insert(start, (end - start, owner.to_owned()));
            }
        }
    }
}

impl HostMemory for FakeHost {
    fn back(&self, owner: &str, range: GuestRange) -> Result<(), HostError> {
        self.record(Call::Back(range), owner)
    }

    fn unback(&self, owner: &str, range: GuestRange) -> Result<(), HostError> {
        self.record(Call::Unback(range), owner)
    }

    fn release(&self, ranges: &[GuestRange], afterwards: Afterwards) -> Result<u64, HostError> {
        ranges.iter().try_for_each(|range| self.record(Call::Release(*range, afterwards), ""))?;
        Ok(ranges.iter().map(|range| range.size).sum())
    }
}

/// An alarm that keeps what it was set to.
#[derive(Debug, Default)]
pub(crate) struct Alarms(Mutex<Vec<(Duration, String)>>);

impl Alarms {
    /// The alarms since this was last asked.
    pub(crate) fn taken(&self) -> Vec<(Duration, String)> {
        std::mem::take(&mut lock(&self.0))
    }
}

impl Alarm for Alarms {
    fn after(&self, delay: Duration, device: &str, _: Purpose) {
        lock(&self.0).push((delay, device.to_owned()));
    }
}

/// A sink that keeps what it gets.
#[derive(Debug, Default)]
pub(crate) struct Events(Mutex<Vec<MemoryEvent>>);

impl Events {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The events since this was last asked, each as a short text.
    pub(crate) fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.0)).iter().map(describe).collect()
    }
}

impl EventSink for Events {
    fn memory(&self, event: MemoryEvent) {
        lock(&self.0).push(event);
    }
}

fn describe(event: &MemoryEvent) -> String {
    match event {
        MemoryEvent::Accepted { device } => format!("accepted {}", device.id),
        MemoryEvent::Progress { device } => format!("progress {} {:#x}", device.id, device.plugged_size),
        MemoryEvent::Finished { device } => format!("finished {} {}", device.id, outcome(device)),
        MemoryEvent::Removed { device } => format!("removed {} {}", device.id, outcome(device)),
        MemoryEvent::Ost { id, slot, source, status } => {
            let slot = slot.map_or_else(|| "container".to_owned(), |slot| slot.to_string());
            format!("ost {} {slot} {source:#x} {status:#x}", id.as_deref().unwrap_or("-"))
        }
    }
}

/// How the device's latest change ended, with the reason.
pub(crate) fn outcome(device: &MemoryStatus) -> String {
    let last = device.last.as_ref().expect("a finished change has an outcome");
    let word = match last.outcome {
        Outcome::Done => "done",
        Outcome::Partial => "partial",
        Outcome::Refused => "refused",
    };
    last.reason.as_ref().map_or_else(|| word.to_owned(), |reason| format!("{word}: {reason}"))
}
