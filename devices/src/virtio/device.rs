//! What the transport needs of a virtio device.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::queue::{Broken, Queues};
use crate::state::StateError;

/// A virtio device behind a transport.
///
/// The transport keeps the device status, the queues and the interrupt; the device keeps what it
/// is about. The transport calls with its own lock held.
pub trait VirtioDevice: Debug + Send {
    /// The device's type (virtio 1.2, section 5).
    const DEVICE_ID: u32;
    /// What is saved of it.
    type State: Debug + Clone + PartialEq + Serialize + DeserializeOwned;

    /// Its state.
    fn state(&self) -> Self::State;

    /// Goes on from `state`.
    ///
    /// # Errors
    /// [`StateError`]; nothing has changed then.
    fn restore(&mut self, state: &Self::State) -> Result<(), StateError>;

    /// Sizes of the queues, each a power of two.
    fn queue_sizes(&self) -> &[u16];

    /// Features of this type of device; the transport adds its own.
    fn features(&self) -> u64;

    /// Features without which the device does not work: it takes no driver that lacks one.
    fn required_features(&self) -> u64 {
        0
    }

    /// Reads `data.len()` bytes of the configuration space at `offset`; zeroes behind its end.
    fn read_config(&self, offset: u64, data: &mut [u8]);

    /// The driver writes `data` to the configuration space at `offset`; most devices have nothing there that it can change.
    fn write_config(&mut self, _offset: u64, _data: &[u8]) {}

    /// The driver is there and has set up the queues, or there is something to do on queue `index`.
    ///
    /// # Errors
    /// [`Broken`] when the queue cannot be used any more; the driver is then told to reset the
    /// device.
    fn process(&mut self, index: usize, queues: &mut Queues<'_>) -> Result<(), Broken>;

    /// The driver resets the device: what was negotiated is void.
    fn reset(&mut self);

    /// The whole machine is reset.
    fn system_reset(&mut self) {
        self.reset();
    }
}
