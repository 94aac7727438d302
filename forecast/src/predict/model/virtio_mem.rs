//! What the oracle says about steps with virtio-mem devices.

use dimmer_oracle::rule::Rule;
use dimmer_oracle::virtio_mem::{DeviceSpec, VirtioMem};
use dimmer_plan::units::Bytes;

use super::Prediction;
use crate::scenario::{Add, Effect, OutcomeWord, Resize};

impl Prediction {
    /// The driver finds a device, and goes for what it is asked for. One of Linux before 5.17 takes only a device that lets it
    /// touch what is not plugged.
    pub(super) fn probe(&mut self, id: &str, spec: DeviceSpec, requested: u64) {
        let size = spec.region.end - spec.region.start;
        self.linux.probe_virtio_mem(id, spec);
        let takes_all = self.addresses.is_legacy(id);
        if let Some(device) = self.linux.virtio_mem.get_mut(id) {
            device.refused = !takes_all && !self.linux.release.leaves_unplugged_memory_alone();
        }
        // The device lets its driver use more than was asked for; all of the region makes no difference.
        self.linux.resize_virtio_mem(id, requested, size);
    }

    pub(super) fn add(&mut self, add: &Add) -> Result<Effect, String> {
        let named = |problem: String| format!("add: {problem}");
        if self.linux.stuck.is_some() {
            return Err(named("the guest looks only when the ejection that waits has ended".to_owned()));
        }
        let new = add.device();
        let mut addresses = self.addresses.clone();
        let spec = addresses.add(&new).map_err(named)?;
        check_size("add", &add.id, &spec, new.requested_size)?;
        self.addresses = addresses;
        self.probe(&add.id, spec, new.requested_size);
        let reached = self.reached(&add.id);
        // Without a driver it has not come.
        let outcome = reached.outcome.filter(|_| !self.linux.virtio_mem[&add.id].refused);
        Ok(Effect { outcome: outcome.or(Some(OutcomeWord::InProgress)), ..reached })
    }

    /// The device goes only when it has nothing and is to have nothing.
    pub(super) fn remove(&mut self, id: &str) -> Result<Effect, String> {
        let device = self.linux.virtio_mem.get(id).filter(|_| self.addresses.is_in_a_place(id));
        let device =
            device.ok_or_else(|| format!("remove: no virtio-mem device {id:?} has come to a place"))?;
        if device.plugged() > 0 || device.requested > 0 {
            return Ok(Effect { outcome: Some(OutcomeWord::Refused), ..Effect::default() });
        }
        self.linux.remove_virtio_mem(id).map_err(|problem| format!("remove: {problem}"))?;
        self.addresses.remove(id);
        Ok(Effect { outcome: Some(OutcomeWord::Done), ..Effect::default() })
    }

    /// Whether the machine has places for devices that come.
    pub fn has_places(&self) -> bool {
        self.addresses.has_places()
    }

    /// The devices that have come to places.
    pub fn in_places(&self) -> impl Iterator<Item = String> {
        let all = self.linux.virtio_mem.keys();
        all.filter(|id| self.addresses.is_in_a_place(id)).cloned()
    }

    /// What a device that was asked for a size has reached.
    fn reached(&self, id: &str) -> Effect {
        let device = &self.linux.virtio_mem[id];
        let plugged = device.plugged();
        let outcome = if plugged == device.requested { OutcomeWord::Done } else { OutcomeWord::InProgress };
        Effect { outcome: Some(outcome), plugged: Some(plugged), ..Effect::default() }
    }

    pub(super) fn resize(&mut self, resize: &Resize) -> Result<Effect, String> {
        let device = self.linux.virtio_mem.get(&resize.id);
        let device =
            device.ok_or_else(|| format!("resize: there is no virtio-mem device {:?}", resize.id))?;
        check_size("resize", &resize.id, &device.spec, resize.to.0)?;
        let size = device.spec.region.end - device.spec.region.start;
        if device.refused && resize.to.0 > device.plugged() {
            let plugged = Some(device.plugged());
            return Ok(Effect { outcome: Some(OutcomeWord::Refused), plugged, ..Effect::default() });
        }
        // The device lets its driver use more than was asked for; all of the region makes no difference.
        self.linux.resize_virtio_mem(&resize.id, resize.to.0, size);
        Ok(self.reached(&resize.id))
    }

    /// Virtio-mem drivers try again what did not work.
    pub(super) fn settle(&mut self) -> Result<Effect, String> {
        let late = |device: &VirtioMem| device.plugged() != device.requested;
        if self.linux.virtio_mem.values().any(late) {
            self.linux.memory.meet(Rule::TimerTriesAgain);
        }
        let ids: Vec<String> = self.linux.virtio_mem.keys().cloned().collect();
        for id in &ids {
            self.linux.run_virtio_mem(id);
        }
        if self.linux.virtio_mem.values().any(late) {
            return Err("settle: a virtio-mem device would never have what it asks for".to_owned());
        }
        Ok(Effect { outcome: Some(OutcomeWord::Done), ..Effect::default() })
    }
}

/// Whether a device can have `bytes` plugged.
fn check_size(step: &str, id: &str, spec: &DeviceSpec, bytes: u64) -> Result<(), String> {
    let (size, block) = (spec.region.end - spec.region.start, spec.block_size);
    if bytes <= size && bytes.is_multiple_of(block) {
        return Ok(());
    }
    Err(format!(
        "{step}: {} is no size that {id:?} can have: it must be a multiple of its block size ({}), at most {}",
        Bytes(bytes),
        Bytes(block),
        Bytes(size)
    ))
}
