//! The virtio console device (virtio 1.2, section 5.3) with one port that has a name and is no
//! console: a byte stream between a process in the guest and the host.
//!
//! Towards the host: as long as [`PortOutput`] takes nothing, the guest's buffers stay in their
//! queue, and a guest that writes on has to wait. While the host's end is closed they are thrown
//! away, as at a socket with nobody behind it.
//! Towards the guest: bytes are taken as far as the guest has opened the port and has buffers.
//!
//! In both directions the VMM is woken when it can go on; see [`Console::new`].

use std::fmt;

use crate::memory_map::MemoryMap;
use serde::{Deserialize, Serialize};
use virtio_bindings::virtio_ids::VIRTIO_ID_CONSOLE;

use super::chain::Chain;
use super::device::VirtioDevice;
use super::mmio::VirtioMmio;
use super::queue::{Broken, Queues};
use crate::register;
use crate::state::StateError;
use crate::warning::Said;

pub use control::Control;

mod control;
#[cfg(test)]
mod tests;

/// Several ports and control queues, although there is only one: only so has it a name.
const F_MULTIPORT: u64 = 1 << 1;

/// The queues, named from the driver's point of view as in the specification.
const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
const CONTROL_RECEIVE: usize = 2;
const CONTROL_TRANSMIT: usize = 3;
const QUEUE_SIZE: u16 = 128;

/// Columns and rows that do not apply, one port, no emergency write.
const CONFIG: [u8; 12] = [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];

/// Bytes that are handed to the output at once, at most.
const PIECE: usize = 64 << 10;

/// Where the bytes go that the guest writes to the port.
pub trait PortOutput: fmt::Debug + Send {
    /// Takes some of `bytes`, without blocking, and returns how many; fewer than all when no more
    /// can be taken at present. When more can be, [`VirtioMmio::carry_on`] is to be called.
    /// An output that nobody reads any more takes everything.
    fn write(&mut self, bytes: &[u8]) -> usize;
}

/// The device.
pub struct Console {
    name: String,
    control: Control,
    output: Box<dyn PortOutput>,
    /// Bytes of the next chain in the transmit queue that the output has already.
    sent: u64,
    wake: Box<dyn Fn() + Send>,
    /// The host has bytes that it could not deliver.
    input_waits: bool,
    piece: Vec<u8>,
    unreadable: Said,
}

/// What is saved of it. Who is at the host's end is not: a machine that goes on has connections of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleState {
    /// What was said about the port.
    pub control: Control,
    /// Bytes of the next chain in the transmit queue that the host has already.
    pub sent: u64,
}

impl Console {
    /// A device whose port is called `name`. `wake` is called on a vCPU thread when there is a
    /// reason to call [`VirtioMmio::carry_on`] and to offer [`VirtioMmio::receive`] again what it did
    /// not take; it must neither block nor come back into a device.
    pub fn new(name: &str, output: Box<dyn PortOutput>, wake: Box<dyn Fn() + Send>) -> Self {
        Self {
            name: name.to_owned(),
            control: Control::default(),
            output,
            sent: 0,
            wake,
            input_waits: false,
            piece: Vec::new(),
            unreadable: Said::default(),
        }
    }

    fn transmit(&mut self, queues: &mut Queues<'_>) -> Result<(), Broken> {
        let memory = queues.memory();
        while let Some(chain) = queues.pop(TRANSMIT, &memory)? {
            if self.control.is_host_open() && !self.send(&chain, &memory, queues) {
                queues.put_back(TRANSMIT);
                break;
            }
            self.sent = 0;
            queues.complete(TRANSMIT, &memory, chain.head(), 0)?;
        }
        self.come_back_for_the_rest(queues);
        Ok(())
    }

    /// Sends what is left of a chain, as far as the pass allows; returns whether the output has all of it.
    fn send(&mut self, chain: &Chain, memory: &MemoryMap, queues: &mut Queues<'_>) -> bool {
        while !queues.is_over() {
            self.piece.resize(PIECE.min(queues.bytes_left()), 0);
            let Ok(length) = chain.read_at(memory, self.sent, &mut self.piece) else {
                self.complain();
                return true;
            };
            let taken = self.output.write(&self.piece[..length]).min(length);
            self.sent += taken as u64;
            queues.copied(taken);
            if length == 0 || taken < length {
                return length == 0;
            }
        }
        false
    }

    /// What a pass leaves is for the next one, on which nobody else insists.
    fn come_back_for_the_rest(&self, queues: &Queues<'_>) {
        if queues.is_over() {
            (self.wake)();
        }
    }

    fn complain(&mut self) {
        if self.unreadable.first() {
            tracing::warn!("Port {}: the guest's buffer cannot be used", self.name);
        }
    }

    fn receive(&mut self, bytes: &[u8], queues: &mut Queues<'_>) -> Result<usize, Broken> {
        let memory = queues.memory();
        let mut taken = 0;
        while self.control.guest_open && taken < bytes.len() {
            let Some(chain) = queues.pop(RECEIVE, &memory)? else { break };
            let length = self.fill(&chain, &memory, &bytes[taken..]);
            taken += length;
            queues.copied(length);
            let length = u32::try_from(length).expect("the host has no 4 GiB to say at once");
            queues.complete(RECEIVE, &memory, chain.head(), length)?;
        }
        self.come_back_for_the_rest(queues);
        Ok(taken)
    }

    /// Writes as much of `bytes` to the chain as it holds.
    fn fill(&mut self, chain: &Chain, memory: &MemoryMap, bytes: &[u8]) -> usize {
        let written = chain.write(memory, bytes).unwrap_or(0);
        if written == 0 {
            self.complain();
        }
        written
    }

    fn wake_for_input(&mut self) {
        if self.control.guest_open && std::mem::take(&mut self.input_waits) {
            (self.wake)();
        }
    }

    fn hear(&mut self, queues: &mut Queues<'_>) -> Result<(), Broken> {
        let memory = queues.memory();
        while let Some(chain) = queues.pop(CONTROL_TRANSMIT, &memory)? {
            let mut message = [0; control::LENGTH];
            match chain.read_at(&memory, 0, &mut message) {
                Ok(control::LENGTH) => self.control.take(&message),
                _ => self.complain(),
            }
            queues.complete(CONTROL_TRANSMIT, &memory, chain.head(), 0)?;
        }
        self.come_back_for_the_rest(queues);
        self.wake_for_input();
        self.tell(queues)
    }

    /// Tells the driver what it does not know yet, as far as it has buffers for that.
    fn tell(&mut self, queues: &mut Queues<'_>) -> Result<(), Broken> {
        let memory = queues.memory();
        while let Some(message) = self.control.next(&self.name) {
            let Some(chain) = queues.pop(CONTROL_RECEIVE, &memory)? else { break };
            let written = self.fill(&chain, &memory, &message);
            self.control.told();
            let written = u32::try_from(written).expect("messages are short");
            queues.complete(CONTROL_RECEIVE, &memory, chain.head(), written)?;
        }
        Ok(())
    }
}

impl VirtioDevice for Console {
    const DEVICE_ID: u32 = VIRTIO_ID_CONSOLE;

    type State = ConsoleState;

    fn state(&self) -> ConsoleState {
        ConsoleState { control: self.control, sent: self.sent }
    }

    fn restore(&mut self, state: &ConsoleState) -> Result<(), StateError> {
        self.control = state.control.with_host_open(self.control.is_host_open());
        self.sent = state.sent;
        Ok(())
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE; 4]
    }

    fn features(&self) -> u64 {
        F_MULTIPORT
    }

    fn required_features(&self) -> u64 {
        F_MULTIPORT
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        register::copy(&CONFIG, offset, data);
    }

    fn process(&mut self, index: usize, queues: &mut Queues<'_>) -> Result<(), Broken> {
        match index {
            RECEIVE => {
                self.wake_for_input();
                Ok(())
            }
            TRANSMIT => self.transmit(queues),
            CONTROL_RECEIVE => self.tell(queues),
            CONTROL_TRANSMIT => self.hear(queues),
            _ => Ok(()),
        }
    }

    fn reset(&mut self) {
        self.control.reset();
        self.sent = 0;
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("name", &self.name)
            .field("control", &self.control)
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}

impl VirtioMmio<Console> {
    /// Gives the guest bytes to read from the port. Returns how many were taken; when not all
    /// were, the console's `wake` is called once more can be.
    pub fn receive(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        self.with_queues(|console, queues| {
            taken = console.receive(bytes, queues)?;
            console.input_waits = taken < bytes.len();
            Ok(())
        });
        taken
    }

    /// Whether a process in the guest has the port open, so that bytes may be taken.
    pub const fn can_receive(&self) -> bool {
        self.device().control.guest_open
    }

    /// Tells the guest whether somebody is at the host's end of the port.
    pub fn set_host_open(&mut self, open: bool) {
        self.with_queues(|console, queues| {
            console.control.set_host_open(open);
            console.tell(queues)?;
            // What was written for the one who left is not for the next one.
            if open { Ok(()) } else { console.transmit(queues) }
        });
    }

    /// The output takes bytes again, or a pass was over before all was done: goes on with what the guest
    /// has written.
    pub fn carry_on(&mut self) {
        self.with_queues(|console, queues| console.hear(queues));
        self.with_queues(|console, queues| console.transmit(queues));
    }
}
