//! A virtio device whose work is done on a thread of its own, in [turns](super::turns).

use std::sync::{Arc, Mutex};

use dimmer_devices::bus::lock;
use dimmer_devices::state::StateError;
use dimmer_devices::virtio::device::VirtioDevice;
use dimmer_devices::virtio::mmio::{MmioState, VirtioMmio};

use super::turns::Turns;

/// See the module.
#[derive(Debug)]
pub struct Threaded<D> {
    name: String,
    device: Arc<Mutex<VirtioMmio<D>>>,
    turns: Turns,
}

impl<D: VirtioDevice> Threaded<D> {
    /// A device on its transport, and the thread.
    pub const fn new(name: String, device: Arc<Mutex<VirtioMmio<D>>>, turns: Turns) -> Self {
        Self { name, device, turns }
    }

    /// System reset.
    pub fn reset(&self) {
        lock(&self.device).system_reset();
    }

    /// Its state, while it is held.
    pub fn state(&self) -> MmioState<D::State> {
        lock(&self.device).state()
    }

    /// Goes on from `state`.
    ///
    /// # Errors
    /// [`StateError`]; nothing has changed then.
    pub fn restore(&self, state: &MmioState<D::State>) -> Result<(), StateError> {
        let mut device = lock(&self.device);
        device.restore(state)?;
        device.go_on();
        Ok(())
    }

    /// While held it does nothing.
    pub fn hold(&self, held: bool) {
        self.turns.hold(held);
    }

    /// Waits until nothing is under way, while it is held.
    ///
    /// # Errors
    /// Its name, when that takes too long.
    pub fn settle(&self) -> Result<(), &str> {
        if self.turns.settle() { Ok(()) } else { Err(&self.name) }
    }
}
