//! The virtio network device (virtio 1.2, section 5.1), up to the wire: frames that the driver sends are [taken](VirtioMmio::sent),
//! and those that come are [delivered](VirtioMmio::deliver), each behind a header that says how far its checksum and its segments
//! are done.
//!
//! Frames are copied while the device is locked. What finds no buffer waits with whoever has the wire; what does not fit into the
//! buffer that the driver offers is dropped, as is what comes while no driver runs.

use std::fmt;

use serde::{Deserialize, Serialize};
use virtio_bindings::virtio_ids::VIRTIO_ID_NET;

use super::device::VirtioDevice;
use super::mmio::VirtioMmio;
use super::queue::{Broken, Queues};
use crate::register;
use crate::state::StateError;

#[cfg(test)]
mod tests;

/// Bytes of the header before each frame.
pub const HEADER: usize = 12;
/// Its first byte has flags, of which this says that the checksum is still to be made: from where on, and where it goes.
const NEEDS_CSUM: u8 = 1;
const CSUM_START: usize = 6;
const CSUM_OFFSET: usize = 8;
/// Where it says over how many buffers a frame is spread.
const NUM_BUFFERS: std::ops::Range<usize> = 10..HEADER;
/// Bytes of the longest frame: 64 KiB of segments that are still to be made, behind an Ethernet header and a tag.
pub const LONGEST: usize = (64 << 10) + 18;
/// The smallest and the largest payload of a frame that can be asked for.
pub const MTU: std::ops::RangeInclusive<u16> = 68..=65521;

/// The queues.
const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;

/// Bits of the features.
const F_CSUM: u64 = 1 << 0;
const F_GUEST_CSUM: u64 = 1 << 1;
const F_MTU: u64 = 1 << 3;
const F_MAC: u64 = 1 << 5;
const F_HOST_TSO4: u64 = 1 << 11;
const F_HOST_TSO6: u64 = 1 << 12;
const F_STATUS: u64 = 1 << 16;

/// What the device says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetConfig {
    /// Its address.
    pub mac: [u8; 6],
    /// The largest payload of a frame, if the driver is to know.
    pub mtu: Option<u16>,
    /// Whether the wire takes frames without checksums and as segments that are still to be made.
    pub offloads: bool,
}

/// What became of a frame for the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// The driver has it.
    Taken,
    /// There is no buffer for it at present; the device wakes when there may be.
    NoRoom,
    /// Nobody wants it, or it does not fit.
    Dropped,
}

/// The device.
pub struct Net {
    config: NetConfig,
    /// Whether the wire goes anywhere.
    up: bool,
    wake: Box<dyn Fn() + Send>,
}

/// What is saved of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetState {
    /// Its address.
    pub mac: [u8; 6],
}

impl Net {
    /// A device on a wire that goes somewhere. `wake` is called, with the device's lock held, when there may be frames to take
    /// or room for others.
    pub fn new(config: NetConfig, wake: Box<dyn Fn() + Send>) -> Self {
        Self { config, up: true, wake }
    }

    fn sent(queues: &mut Queues<'_>) -> Result<Option<Vec<u8>>, Broken> {
        let memory = queues.memory();
        while let Some(chain) = queues.pop(TRANSMIT, &memory)? {
            let length = usize::try_from(chain.readable_length()).unwrap_or(usize::MAX);
            let mut frame = Vec::new();
            if (HEADER + 1..=HEADER + LONGEST).contains(&length) {
                frame.resize(length, 0);
                if chain.read_at(&memory, 0, &mut frame).ok() != Some(length) {
                    frame.clear();
                }
            }
            queues.complete(TRANSMIT, &memory, chain.head(), 0)?;
            if !frame.is_empty() {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    fn deliver(frame: &mut [u8], queues: &mut Queues<'_>) -> Result<Delivered, Broken> {
        if !queues.is_running(RECEIVE) {
            return Ok(Delivered::Dropped);
        }
        if queues.features() & F_GUEST_CSUM == 0 {
            complete_checksum(frame);
        }
        let memory = queues.memory();
        let Some(chain) = queues.pop(RECEIVE, &memory)? else { return Ok(Delivered::NoRoom) };
        if chain.writable_length() < frame.len() as u64 {
            queues.put_back(RECEIVE);
            return Ok(Delivered::Dropped);
        }
        let written = chain.write(&memory, frame).unwrap_or(0);
        let written = u32::try_from(written).expect("frames are short");
        queues.complete(RECEIVE, &memory, chain.head(), written)?;
        Ok(Delivered::Taken)
    }

    fn bytes(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..6].copy_from_slice(&self.config.mac);
        bytes[6] = u8::from(self.up);
        bytes[8] = 1;
        bytes[10..].copy_from_slice(&self.config.mtu.unwrap_or_default().to_le_bytes());
        bytes
    }
}

/// Makes the checksum that a frame still lacks, for a driver that does not do that itself (section 5.1.6.2: the ones' complement
/// sum from `csum_start` on, which has that of the pseudo header in its place).
fn complete_checksum(frame: &mut [u8]) {
    let (header, data) = frame.split_at_mut(HEADER);
    let word = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let (start, place) = (word(CSUM_START), word(CSUM_START) + word(CSUM_OFFSET));
    if header[0] & NEEDS_CSUM == 0 || place + 2 > data.len() {
        return;
    }
    let pairs = data[start..].chunks(2).map(|pair| [pair[0], pair.get(1).copied().unwrap_or(0)]);
    let mut sum: u32 = pairs.map(|pair| u32::from(u16::from_be_bytes(pair))).sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    // Zero would say that there is none.
    let sum = if sum == 0xFFFF { sum } else { !sum & 0xFFFF };
    data[place..place + 2].copy_from_slice(&sum.to_be_bytes()[2..]);
    header[0] &= !NEEDS_CSUM;
}

impl VirtioMmio<Net> {
    /// The next frame that the driver sends, behind its header. None as well when there were many that are no frames: the
    /// device wakes then, for there may be more.
    pub fn sent(&mut self) -> Option<Vec<u8>> {
        let mut frame = None;
        self.with_queues(|device, queues| {
            frame = Net::sent(queues)?;
            if frame.is_none() && queues.is_over() {
                (device.wake)();
            }
            Ok(())
        });
        frame
    }

    /// Gives the driver a frame, which has a header, in one buffer: `num_buffers` says so (section 5.1.6.4).
    pub fn deliver(&mut self, frame: &mut [u8]) -> Delivered {
        frame[NUM_BUFFERS].copy_from_slice(&1_u16.to_le_bytes());
        let mut delivered = Delivered::Dropped;
        self.with_queues(|_, queues| {
            delivered = Net::deliver(frame, queues)?;
            Ok(())
        });
        delivered
    }

    /// Whether the wire goes anywhere; the driver is told when that changes.
    pub fn set_up(&mut self, up: bool) {
        self.with_device(|device, queues| {
            if std::mem::replace(&mut device.up, up) != up {
                queues.config_changed();
            }
        });
    }
}

impl VirtioDevice for Net {
    const DEVICE_ID: u32 = VIRTIO_ID_NET;

    type State = NetState;

    fn state(&self) -> NetState {
        NetState { mac: self.config.mac }
    }

    fn restore(&mut self, state: &NetState) -> Result<(), StateError> {
        StateError::unless(state.mac == self.config.mac, || "a network device has another address".to_owned())
    }

    fn queue_sizes(&self) -> &[u16] {
        &[256; 2]
    }

    fn features(&self) -> u64 {
        let offloads = F_CSUM | F_GUEST_CSUM | F_HOST_TSO4 | F_HOST_TSO6;
        F_MAC
            | F_STATUS
            | if self.config.offloads { offloads } else { 0 }
            | if self.config.mtu.is_some() { F_MTU } else { 0 }
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        register::copy(&self.bytes(), offset, data);
    }

    fn process(&mut self, _: usize, _: &mut Queues<'_>) -> Result<(), Broken> {
        (self.wake)();
        Ok(())
    }

    fn reset(&mut self) {}
}

impl fmt::Debug for Net {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Net")
            .field("config", &self.config)
            .field("up", &self.up)
            .finish_non_exhaustive()
    }
}
