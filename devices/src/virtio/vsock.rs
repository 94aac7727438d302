//! The virtio socket device (virtio 1.2, section 5.10), up to the sockets: packets that the driver sends are
//! [taken](VirtioMmio::sent), and those for it are [delivered](VirtioMmio::deliver). What the packets say, whose connections they
//! are of and how much of them either side has room for, is the affair of whoever has the sockets.
//!
//! Connections do not outlive a snapshot: a driver that goes on from one is told that all of them are gone.

use std::fmt;

use serde::{Deserialize, Serialize};
use virtio_bindings::virtio_ids::VIRTIO_ID_VSOCK;
use zerocopy::IntoBytes;

use super::device::VirtioDevice;
use super::mmio::VirtioMmio;
use super::queue::{Broken, Queues};
use crate::register;
use crate::state::StateError;

mod packet;
#[cfg(test)]
mod tests;

pub use packet::{
    FIRST_GUEST, HEADER, HOST, Header, LONGEST, NO_MORE_RECEIVED, NO_MORE_SENT, Op, Packet, STREAM,
};

/// The queues.
const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
const EVENTS: usize = 2;

/// The only event: all connections are gone (`VIRTIO_VSOCK_EVENT_TRANSPORT_RESET`).
const TRANSPORT_RESET: [u8; 4] = [0; 4];

/// The device.
pub struct Vsock {
    cid: u32,
    /// Counts drivers: connections of one are nothing to the next.
    epoch: u64,
    /// Whether the driver is to be told that all connections are gone.
    cut: bool,
    wake: Box<dyn Fn() + Send>,
}

/// What is saved of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VsockState {
    /// The guest's context ID.
    pub cid: u32,
}

impl Vsock {
    /// A device for the guest with context ID `cid`, [`FIRST_GUEST`] or more. `wake` is called, with the device's lock held, when
    /// there may be packets to take or room for others, or another driver.
    pub fn new(cid: u32, wake: Box<dyn Fn() + Send>) -> Self {
        Self { cid, epoch: 0, cut: false, wake }
    }

    /// The number of drivers that there were.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    fn sent(queues: &mut Queues<'_>) -> Result<Option<Packet>, Broken> {
        let memory = queues.memory();
        while let Some(chain) = queues.pop(TRANSMIT, &memory)? {
            let packet = Packet::read(&chain, &memory);
            queues.complete(TRANSMIT, &memory, chain.head(), 0)?;
            if packet.is_some() {
                return Ok(packet);
            }
        }
        Ok(None)
    }

    fn deliver(header: Header, data: &[u8], queues: &mut Queues<'_>) -> Result<Option<usize>, Broken> {
        let memory = queues.memory();
        while let Some(chain) = queues.pop(RECEIVE, &memory)? {
            let room = usize::try_from(chain.writable_length()).unwrap_or(usize::MAX);
            let Some(room) = room.checked_sub(HEADER) else {
                // No buffer for a packet, and so none at all.
                queues.complete(RECEIVE, &memory, chain.head(), 0)?;
                continue;
            };
            let data = &data[..data.len().min(room)];
            let length = u32::try_from(data.len()).expect("packets are short");
            let header = Header { length: length.into(), ..header };
            let bytes = [header.as_bytes(), data].concat();
            let written = chain.write(&memory, &bytes).unwrap_or(0);
            let written = u32::try_from(written).expect("packets are short");
            queues.complete(RECEIVE, &memory, chain.head(), written)?;
            return Ok(Some(data.len()));
        }
        Ok(None)
    }

    fn tell(&mut self, queues: &mut Queues<'_>) -> Result<(), Broken> {
        if !self.cut {
            return Ok(());
        }
        let memory = queues.memory();
        if let Some(chain) = queues.pop(EVENTS, &memory)? {
            let written = chain.write(&memory, &TRANSPORT_RESET).unwrap_or(0);
            let written = u32::try_from(written).expect("events are short");
            queues.complete(EVENTS, &memory, chain.head(), written)?;
            self.cut = false;
        }
        Ok(())
    }
}

impl VirtioMmio<Vsock> {
    /// The next packet that the driver sends. None as well when there were many that are no packets: the device wakes then,
    /// for there may be more.
    pub fn sent(&mut self) -> Option<Packet> {
        let mut packet = None;
        self.with_queues(|device, queues| {
            packet = Vsock::sent(queues)?;
            if packet.is_none() && queues.is_over() {
                (device.wake)();
            }
            Ok(())
        });
        packet
    }

    /// Gives the driver a packet, with as much of its data as its buffer has room for; returns how much that is, or nothing
    /// when there is no buffer at present: the device wakes when there may be one.
    pub fn deliver(&mut self, header: Header, data: &[u8]) -> Option<usize> {
        let mut delivered = None;
        self.with_queues(|device, queues| {
            delivered = Vsock::deliver(header, data, queues)?;
            if delivered.is_none() && queues.is_over() {
                (device.wake)();
            }
            Ok(())
        });
        delivered
    }
}

impl VirtioDevice for Vsock {
    const DEVICE_ID: u32 = VIRTIO_ID_VSOCK;

    type State = VsockState;

    fn state(&self) -> VsockState {
        VsockState { cid: self.cid }
    }

    fn restore(&mut self, state: &VsockState) -> Result<(), StateError> {
        StateError::unless(state.cid == self.cid, || "a socket device has another context ID".to_owned())?;
        self.cut = true;
        Ok(())
    }

    fn queue_sizes(&self) -> &[u16] {
        &[128, 128, 8]
    }

    fn features(&self) -> u64 {
        0
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        register::copy(&u64::from(self.cid).to_le_bytes(), offset, data);
    }

    fn process(&mut self, _: usize, queues: &mut Queues<'_>) -> Result<(), Broken> {
        self.tell(queues)?;
        (self.wake)();
        Ok(())
    }

    fn reset(&mut self) {
        self.epoch += 1;
        self.cut = false;
        (self.wake)();
    }
}

impl fmt::Debug for Vsock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cid, epoch, cut, wake: _ } = self;
        let mut debug = formatter.debug_struct("Vsock");
        debug.field("cid", cid).field("epoch", epoch).field("cut", cut).finish_non_exhaustive()
    }
}
