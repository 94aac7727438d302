//! How long changes of memory devices took, from the moment at which the guest was asked to their end.

use std::collections::BTreeMap;
use std::time::Instant;

use dimmer_devices::memory::{Kind, MemoryEvent, MemoryStatus, Outcome, State};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use super::What;

/// What was changed, and how that ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Change {
    kind: &'static str,
    change: &'static str,
    outcome: &'static str,
}

/// Seconds up to which changes are counted together.
const UP_TO: [f64; 12] = [0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];

/// A histogram for each kind of change.
pub type Durations = Family<Change, Histogram, fn() -> Histogram>;

/// See the module.
#[derive(Debug)]
pub(super) struct Changes {
    /// Those that are under way, by the device's id: when they were accepted, and what they are.
    begun: BTreeMap<String, (Instant, &'static str)>,
    durations: Durations,
}

impl Default for Changes {
    fn default() -> Self {
        let durations = Durations::new_with_constructor(|| Histogram::new(UP_TO));
        Self { begun: BTreeMap::new(), durations }
    }
}

impl Changes {
    /// Shows them an event of `now`.
    pub(super) fn see(&mut self, what: &What, now: Instant) {
        match what {
            What::Memory(MemoryEvent::Accepted { device }) => {
                let change = match device.state {
                    State::Plugging => "plug",
                    State::Unplugging => "unplug",
                    State::Idle | State::Plugged => return,
                };
                self.begun.insert(device.id.clone(), (now, change));
            }
            What::Memory(MemoryEvent::Finished { device }) => self.finished(device, now),
            What::Memory(MemoryEvent::Removed { device }) => drop(self.begun.remove(&device.id)),
            What::Memory(MemoryEvent::Progress { .. } | MemoryEvent::Ost { .. })
            | What::Processors(_)
            | What::Machine(_) => {}
        }
    }

    fn finished(&mut self, device: &MemoryStatus, now: Instant) {
        let Some((begun, change)) = self.begun.remove(&device.id) else { return };
        let kind = match device.kind {
            Kind::Dimm => "dimm",
            Kind::VirtioMem => "virtio-mem",
        };
        let outcome = match device.last.as_ref().map(|last| last.outcome) {
            Some(Outcome::Done) | None => "done",
            Some(Outcome::Partial) => "partial",
            Some(Outcome::Refused) => "refused",
        };
        let seconds = now.duration_since(begun).as_secs_f64();
        self.durations.get_or_create(&Change { kind, change, outcome }).observe(seconds);
    }

    /// The histograms.
    pub(super) fn durations(&self) -> Durations {
        self.durations.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::api::tests::fake::{device, ended};

    #[test]
    fn each_change_is_measured_once_from_its_acceptance() {
        let (mut changes, now) = (Changes::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        let accepted = |id, state| What::Memory(MemoryEvent::Accepted { device: device(id, state) });
        let finished = |id, outcome| {
            What::Memory(MemoryEvent::Finished { device: ended(id, State::Plugged, outcome, None) })
        };
        changes.see(&finished("vmem0", Outcome::Done), at(0));
        changes.see(&accepted("vmem0", State::Plugging), at(1));
        // Asked for something else meanwhile.
        changes.see(&accepted("vmem0", State::Plugging), at(3));
        changes.see(&finished("vmem0", Outcome::Done), at(5));
        changes.see(&finished("vmem0", Outcome::Done), at(50));
        changes.see(&accepted("vmem0", State::Unplugging), at(60));
        changes.see(&finished("vmem0", Outcome::Partial), at(100));
        changes.see(&accepted("vmem0", State::Plugged), at(101));
        changes.see(&finished("vmem0", Outcome::Done), at(102));
        let mut registry = Registry::default();
        registry.register("d", "d", changes.durations());
        let mut said = String::new();
        text::encode(&mut said, &registry).unwrap();
        for line in [
            r#"d_sum{kind="virtio-mem",change="plug",outcome="done"} 2.0"#,
            r#"d_count{kind="virtio-mem",change="plug",outcome="done"} 1"#,
            r#"d_sum{kind="virtio-mem",change="unplug",outcome="partial"} 40.0"#,
            r#"d_bucket{le="60.0",kind="virtio-mem",change="unplug",outcome="partial"} 1"#,
        ] {
            assert!(said.lines().any(|seen| seen == line), "{line}\n{said}");
        }
        assert_eq!(said.matches("_count").count(), 2, "{said}");
    }
}
