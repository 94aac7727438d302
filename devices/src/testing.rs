//! Stand-ins for the tests of this crate: an interrupt line, an output, host memory and a sink
//! that record what the devices do with them.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::bus::lock;
use crate::irq::IrqLine;
use crate::memory::{EventSink, GuestRange, HostError, HostMemory, MemoryEvent, MemoryStatus, Outcome};

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
    Discard(GuestRange),
}

#[derive(Debug, Default)]
struct Host {
    calls: Vec<Call>,
    backed: BTreeSet<GuestRange>,
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

    /// What is backed now, ascending.
    pub(crate) fn backed(&self) -> Vec<GuestRange> {
        lock(&self.0).backed.iter().copied().collect()
    }

    fn record(&self, call: Call) -> Result<(), HostError> {
        let mut host = lock(&self.0);
        if host.fail.as_ref().is_some_and(|matcher| (matcher.0)(call)) {
            return Err(HostError("out of memory".to_owned()));
        }
        match call {
            Call::Back(range) => {
                assert!(
                    !host.backed.iter().any(|other| other.overlaps(&range)),
                    "{range:x?} is backed already"
                );
                host.backed.insert(range);
            }
            Call::Unback(range) => assert!(host.backed.remove(&range), "{range:x?} was never backed"),
            Call::Discard(range) => {
                assert!(host.backed.iter().any(|other| other.contains(&range)), "{range:x?} is not backed");
            }
        }
        host.calls.push(call);
        Ok(())
    }
}

impl HostMemory for FakeHost {
    fn back(&self, range: GuestRange) -> Result<(), HostError> {
        self.record(Call::Back(range))
    }

    fn unback(&self, range: GuestRange) -> Result<(), HostError> {
        self.record(Call::Unback(range))
    }

    fn discard(&self, range: GuestRange) -> Result<(), HostError> {
        self.record(Call::Discard(range))
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
