//! The devices' state.

use dimmer_devices::bus::lock;
use dimmer_devices::state::StateError;

use super::Wiring;
use crate::machine::disk::Disk;
use crate::snapshot::state::DevicesState;

impl Wiring {
    /// The state of every device; no vCPU runs.
    pub fn state(&self) -> DevicesState {
        DevicesState {
            ged: lock(&self.ged).state(),
            power: lock(&self.power).state(),
            pvpanic: lock(&self.pvpanic).state(),
            watchdog: self.watchdog.as_ref().map(|watchdog| lock(watchdog).state()),
            pci: lock(&self.pci).state(),
            serial: self.serial.borrow().state(),
            agent: self.agent.as_ref().map(|agent| agent.borrow().state()),
            slots: self.slots.as_ref().map(|slots| lock(slots).state()),
            processors: self.processors.as_ref().map(|slots| lock(slots).state()),
            virtio_mem: self.virtio_mem.iter().map(|device| lock(device).state()).collect(),
            places: self.places.as_ref().map(|places| lock(places).state()),
            disks: self.disks.iter().map(Disk::state).collect(),
            nets: self.nets.iter().map(|net| net.device.state()).collect(),
            pmems: self.pmems.iter().map(|pmem| pmem.device.state()).collect(),
            rng: self.rng.as_ref().map(|rng| lock(rng).state()),
            balloon: self.balloon.as_ref().map(|balloon| lock(balloon).state()),
            vsock: self.vsock.as_ref().map(|vsock| vsock.device.state()),
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
        match (&self.watchdog, &state.watchdog) {
            (Some(watchdog), Some(state)) => lock(watchdog).restore(*state),
            (None, None) => {}
            _ => return Err(other("a watchdog")),
        }
        match (&self.slots, &state.slots) {
            (Some(slots), Some(state)) => lock(slots).restore(state)?,
            (None, None) => {}
            _ => return Err(other("DIMM slots")),
        }
        match (&self.processors, &state.processors) {
            (Some(slots), Some(state)) => lock(slots).restore(state)?,
            (None, None) => {}
            _ => return Err(other("processors that come and go")),
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
        match (&self.places, &state.places) {
            (Some(places), Some(state)) => lock(places).restore(state)?,
            (None, None) => {}
            _ => return Err(other("places for virtio-mem devices")),
        }
        self.restore_io(state)
    }

    fn restore_io(&self, state: &DevicesState) -> Result<(), StateError> {
        if self.disks.len() != state.disks.len() {
            return Err(other("as many disks"));
        }
        for (disk, state) in self.disks.iter().zip(&state.disks) {
            disk.restore(state)?;
        }
        if self.nets.len() != state.nets.len() {
            return Err(other("as many network devices"));
        }
        for (net, state) in self.nets.iter().zip(&state.nets) {
            net.device.restore(state)?;
        }
        if self.pmems.len() != state.pmems.len() {
            return Err(other("as much persistent memory"));
        }
        for (pmem, state) in self.pmems.iter().zip(&state.pmems) {
            pmem.device.restore(state)?;
        }
        match (&self.rng, &state.rng) {
            (Some(rng), Some(state)) => {
                lock(rng).restore(state)?;
                lock(rng).go_on();
            }
            (None, None) => {}
            _ => return Err(other("a device with random bytes")),
        }
        match (&self.balloon, &state.balloon) {
            (Some(balloon), Some(state)) => {
                lock(balloon).restore(state)?;
                lock(balloon).go_on();
            }
            (None, None) => {}
            _ => return Err(other("a balloon")),
        }
        match (&self.vsock, &state.vsock) {
            (Some(vsock), Some(state)) => vsock.device.restore(state),
            (None, None) => Ok(()),
            _ => Err(other("a socket device")),
        }
    }

    /// While held, devices give the guest nothing that comes from the host: not even stopped vCPUs keep its memory and
    /// their own state as they are otherwise.
    pub fn hold(&self, held: bool) {
        self.serial.borrow_mut().hold(held);
        if let Some(agent) = &self.agent {
            agent.borrow_mut().hold(held);
        }
        self.disks.iter().for_each(|disk| disk.hold(held));
        self.nets.iter().for_each(|net| net.device.hold(held));
        self.vsock.iter().for_each(|vsock| vsock.device.hold(held));
        self.pmems.iter().for_each(|pmem| pmem.device.hold(held));
        if !held {
            self.give_more_random();
        }
    }

    /// Waits until devices that are held have come to an end with what they had begun.
    ///
    /// # Errors
    /// The name of the one that takes too long.
    pub fn settle(&self) -> Result<(), &str> {
        self.disks.iter().try_for_each(Disk::settle)?;
        self.nets.iter().try_for_each(|net| net.device.settle())?;
        self.pmems.iter().try_for_each(|pmem| pmem.device.settle())?;
        self.vsock.iter().try_for_each(|vsock| vsock.device.settle())
    }
}

fn other(what: &str) -> StateError {
    StateError(format!("a machine that has {what} and one that has not are not the same"))
}
