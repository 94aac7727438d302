//! The devices' state.

use dimmer_devices::bus::lock;
use dimmer_devices::state::StateError;

use super::Wiring;
use crate::snapshot::state::DevicesState;

impl Wiring {
    /// The state of every device; no vCPU runs.
    pub fn state(&self) -> DevicesState {
        DevicesState {
            ged: lock(&self.ged).state(),
            power: lock(&self.power).state(),
            pvpanic: lock(&self.pvpanic).state(),
            pci: lock(&self.pci).state(),
            serial: self.serial.borrow().state(),
            agent: self.agent.as_ref().map(|agent| agent.borrow().state()),
            slots: self.slots.as_ref().map(|slots| lock(slots).state()),
            virtio_mem: self.virtio_mem.iter().map(|device| lock(device).state()).collect(),
        }
    }

    /// Lets the devices of a machine that has not run go on from `state`. The memory that they hold is there.
    ///
    /// # Errors
    /// [`StateError`] when these devices cannot be in that state.
    pub fn restore(&self, state: &DevicesState) -> Result<(), StateError> {
        lock(&self.ged).restore(state.ged);
        lock(&self.power).restore(state.power);
        lock(&self.pvpanic).restore(state.pvpanic);
        lock(&self.pci).restore(state.pci);
        self.serial.borrow_mut().restore(&state.serial)?;
        match (&self.slots, &state.slots) {
            (Some(slots), Some(state)) => lock(slots).restore(state)?,
            (None, None) => {}
            _ => return Err(other("DIMM slots")),
        }
        match (&self.agent, &state.agent) {
            (Some(agent), Some(state)) => agent.borrow_mut().restore(state)?,
            (None, None) => {}
            _ => return Err(other("an agent's port")),
        }
        if self.virtio_mem.len() != state.virtio_mem.len() {
            return Err(other("as many virtio-mem devices"));
        }
        for (device, state) in self.virtio_mem.iter().zip(&state.virtio_mem) {
            let mut device = lock(device);
            device.restore(state)?;
            device.go_on();
        }
        Ok(())
    }

    /// While held, devices give the guest nothing that comes from the host: not even stopped vCPUs keep its memory and
    /// their own state as they are otherwise.
    pub fn hold(&self, held: bool) {
        self.serial.borrow_mut().hold(held);
        if let Some(agent) = &self.agent {
            agent.borrow_mut().hold(held);
        }
    }
}

fn other(what: &str) -> StateError {
    StateError(format!("a machine that has {what} and one that has not are not the same"))
}
