//! What is saved of a queue.

use crate::memory_map::MemoryMap;
use serde::{Deserialize, Serialize};
use virtio_queue::QueueT;

use super::{Place, Virtqueue};
use crate::state::StateError;

/// A queue between two passes: nothing that was returned waits for its interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueState {
    /// Where the driver put it.
    pub place: Place,
    /// Whether it is in use.
    pub ready: bool,
    /// The next entry of the available ring that the device takes.
    pub next_available: u16,
    /// The next entry of the used ring that the device fills.
    pub next_used: u16,
}

impl Virtqueue {
    pub(in crate::virtio) fn state(&self) -> QueueState {
        QueueState {
            place: self.place,
            ready: self.queue.ready(),
            next_available: self.queue.next_avail(),
            next_used: self.queue.next_used(),
        }
    }

    /// A queue of the same device that goes on from `state`, in `memory`.
    pub(in crate::virtio) fn restored(
        &self,
        state: &QueueState,
        memory: &MemoryMap,
        event_index: bool,
    ) -> Result<Self, StateError> {
        let mut queue = Self::new(self.index, self.max_size);
        queue.place = state.place;
        if state.ready {
            StateError::unless(queue.start(memory, event_index), || {
                format!("queue {} cannot be used at {:x?}", self.index, state.place)
            })?;
            queue.queue.set_next_avail(state.next_available);
            queue.queue.set_next_used(state.next_used);
        }
        Ok(queue)
    }
}
