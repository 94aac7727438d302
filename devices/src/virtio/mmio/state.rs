//! What is saved of a device on its transport.

use serde::{Deserialize, Serialize};
use vm_memory::GuestAddressSpace;

use super::{DRIVER_OK, EVENT_INDEX, Negotiation, VirtioMmio};
use crate::state::StateError;
use crate::virtio::device::VirtioDevice;
use crate::virtio::queue::QueueState;

/// The registers, the queues, and the device behind them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MmioState<S> {
    /// What the driver said and what it was told.
    pub negotiation: Negotiation,
    /// How often the configuration space has changed.
    pub generation: u32,
    /// Required features that a driver lacked.
    pub lacking: u64,
    /// The queues, in their order.
    pub queues: Vec<QueueState>,
    /// The device.
    pub device: S,
}

impl<D: VirtioDevice> VirtioMmio<D> {
    /// Its state.
    pub fn state(&self) -> MmioState<D::State> {
        MmioState {
            negotiation: self.negotiation,
            generation: self.generation,
            lacking: self.lacking,
            queues: self.queues.iter().map(|queue| queue.state()).collect(),
            device: self.device.state(),
        }
    }

    /// Goes on from `state`, in guest memory as it is now; the line follows. What the driver has put into the queues
    /// meanwhile is looked at when it next notifies, or when the device is told to [go on](Self::go_on).
    ///
    /// # Errors
    /// [`StateError`] when no such device can be in that state; nothing has changed then.
    pub fn restore(&mut self, state: &MmioState<D::State>) -> Result<(), StateError> {
        let Negotiation { status, driver_features, .. } = state.negotiation;
        let right = status & DRIVER_OK == 0 || driver_features & !self.offered_features() == 0;
        StateError::unless(right, || {
            format!("a driver has features {driver_features:#x}, which are not offered")
        })?;
        StateError::unless(state.queues.len() == self.queues.len(), || {
            format!("there are {} queues, and not {}", self.queues.len(), state.queues.len())
        })?;
        let memory = self.memory.memory();
        let event_index = driver_features & EVENT_INDEX != 0;
        let queues = self.queues.iter().zip(&state.queues);
        let queues = queues.map(|(queue, state)| queue.restored(state, &memory, event_index));
        let queues = queues.collect::<Result<_, _>>()?;
        self.device.restore(&state.device)?;
        (self.negotiation, self.generation, self.lacking) =
            (state.negotiation, state.generation, state.lacking);
        self.queues = queues;
        self.irq.set(self.negotiation.interrupt_status != 0);
        Ok(())
    }

    /// Looks at what the driver has put into the queues.
    pub fn go_on(&mut self) {
        self.process_all();
    }
}
