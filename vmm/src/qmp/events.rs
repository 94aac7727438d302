//! What happens, as QMP's events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use dimmer_devices::memory::{Kind, MemoryEvent, MemoryStatus, Outcome, State};
use serde_json::{Value, json};

use super::queries::ost;
use crate::events::{Cause, Event, Hub, MachineEvent, What};
use crate::spec::WatchdogAction;

/// Tells a client what happens.
#[derive(Debug)]
pub struct Teller {
    /// Number of the last event that was told.
    after: u64,
    /// The size of each virtio-mem device that was told last.
    sizes: BTreeMap<String, u64>,
    /// DIMMs that the guest was asked to let go.
    leaving: BTreeSet<String>,
}

/// An event's name and what it says.
type Told = Option<(&'static str, Value)>;

impl Teller {
    /// Tells what comes behind event `after`, when the memory devices were like this.
    pub fn new(after: u64, devices: &[MemoryStatus]) -> Self {
        let sizes = devices.iter().filter(|device| device.kind == Kind::VirtioMem);
        let leaving =
            devices.iter().filter(|device| device.state == State::Unplugging && device.kind == Kind::Dimm);
        Self {
            after,
            sizes: sizes.map(|device| (device.id.clone(), device.plugged_size)).collect(),
            leaving: leaving.map(|device| device.id.clone()).collect(),
        }
    }

    /// Number of the last event that was told.
    pub const fn after(&self) -> u64 {
        self.after
    }

    /// The messages for these events, and whether the machine has ended. Of the sizes that a device had on the way
    /// only the last one is told.
    pub fn tell(&mut self, events: &[Event], hub: &Hub) -> (Vec<Value>, bool) {
        let last: BTreeMap<_, _> =
            events.iter().filter_map(|event| Some((sized(event)?, event.sequence))).collect();
        let mut messages = Vec::new();
        let mut over = false;
        for event in events {
            self.after = event.sequence;
            over |= matches!(event.what, What::Machine(MachineEvent::Ended { .. }));
            // What is not told is not remembered as told either.
            if sized(event).is_some_and(|id| last.get(id) != Some(&event.sequence)) {
                continue;
            }
            if let Some((name, data)) = self.event(&event.what) {
                let at = SystemTime::now().checked_sub(hub.age(event)).unwrap_or(UNIX_EPOCH);
                let at = at.duration_since(UNIX_EPOCH).unwrap_or_default();
                let timestamp = json!({"seconds": at.as_secs(), "microseconds": at.subsec_micros()});
                let mut message = json!({"event": name, "timestamp": timestamp});
                if !data.is_null() {
                    message["data"] = data;
                }
                messages.push(message);
            }
        }
        (messages, over)
    }

    fn event(&mut self, what: &What) -> Told {
        match what {
            What::Memory(event) => self.memory(event),
            What::Machine(event) => machine(event),
            // QEMU has no events of processors but the guest's reports and their going, by names that ours have not.
            What::Processors(_) => None,
        }
    }

    fn memory(&mut self, event: &MemoryEvent) -> Told {
        match event {
            MemoryEvent::Accepted { device }
            | MemoryEvent::Progress { device }
            | MemoryEvent::Finished { device }
                if device.kind == Kind::VirtioMem =>
            {
                let before = self.sizes.insert(device.id.clone(), device.plugged_size).unwrap_or(0);
                let data =
                    json!({"id": device.id, "size": device.plugged_size, "qom-path": path(&device.id)});
                (before != device.plugged_size).then_some(("MEMORY_DEVICE_SIZE_CHANGE", data))
            }
            MemoryEvent::Accepted { device } => {
                if device.state == State::Unplugging {
                    self.leaving.insert(device.id.clone());
                }
                None
            }
            MemoryEvent::Finished { device } => {
                let left = self.leaving.remove(&device.id);
                let refused = device.last.as_ref().is_some_and(|last| last.outcome == Outcome::Refused);
                (left && refused).then(|| ("DEVICE_UNPLUG_GUEST_ERROR", gone(device)))
            }
            MemoryEvent::Removed { device } => {
                self.sizes.remove(&device.id);
                Some(("DEVICE_DELETED", gone(device)))
            }
            MemoryEvent::Ost { id, slot, source, status } => {
                Some(("ACPI_DEVICE_OST", json!({"info": ost(id.as_deref(), (*slot)?, *source, *status)})))
            }
            MemoryEvent::Progress { .. } => None,
        }
    }
}

/// The virtio-mem device whose size an event tells.
fn sized(event: &Event) -> Option<&str> {
    match &event.what {
        What::Memory(MemoryEvent::Progress { device } | MemoryEvent::Finished { device })
            if device.kind == Kind::VirtioMem =>
        {
            Some(&device.id)
        }
        _ => None,
    }
}

/// Where a device is.
fn path(id: &str) -> String {
    format!("/machine/peripheral/{id}")
}

fn gone(device: &MemoryStatus) -> Value {
    json!({"device": device.id, "path": path(&device.id)})
}

fn machine(event: &MachineEvent) -> Told {
    match event {
        MachineEvent::Paused => Some(("STOP", Value::Null)),
        MachineEvent::Resumed => Some(("RESUME", Value::Null)),
        MachineEvent::PowerButton => Some(("POWERDOWN", Value::Null)),
        MachineEvent::Watchdog { action } => {
            let nmi = *action == WatchdogAction::Nmi;
            Some(("WATCHDOG", json!({"action": if nmi { json!("inject-nmi") } else { json!(action) }})))
        }
        MachineEvent::Resetting { by_guest } => {
            let reason = if *by_guest { "guest-reset" } else { "host-qmp-system-reset" };
            Some(("RESET", json!({"guest": by_guest, "reason": reason})))
        }
        MachineEvent::Panicked { .. } => Some(("GUEST_PANICKED", json!({"action": "poweroff"}))),
        MachineEvent::CrashLoaded => Some(("GUEST_CRASHLOADED", json!({"action": "run"}))),
        MachineEvent::Ended { cause, .. } => {
            let (guest, reason) = match cause {
                Cause::PowerOff => (true, "guest-shutdown"),
                Cause::Panic => (true, "guest-panic"),
                Cause::TripleFault => (true, "guest-reset"),
                Cause::Asked => (false, "host-qmp-quit"),
                Cause::Failed | Cause::Defect => (false, "host-error"),
            };
            Some(("SHUTDOWN", json!({"guest": guest, "reason": reason})))
        }
        MachineEvent::Booting
        | MachineEvent::Restored
        | MachineEvent::Forked { .. }
        | MachineEvent::Nmi
        | MachineEvent::SnapshotTaken { .. }
        | MachineEvent::MachineCheck { .. } => None,
    }
}
