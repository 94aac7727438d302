//! What devices are made of, and the places that virtio devices have.

use std::fs::File;
use std::sync::{Arc, Mutex};

use dimmer_devices::bus::{Bus, Overlap, SharedDevice};
use dimmer_devices::memory::Outside;
use dimmer_devices::virtio::mmio::VirtioMmio;
use dimmer_devices::virtio::queue::Memory;

use super::board::{Board, Pin};
use super::panic_watch::PanicReason;
use super::platform;
use super::presence::Presence;
use super::ram::Ram;
use super::wake::Waker;
use crate::events::Hub;
use crate::layout::{self, Layout};
use crate::spec::MachineSpec;

/// What devices are made of.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// What was asked for.
    pub spec: &'a MachineSpec,
    /// Where memory lies.
    pub layout: &'a Layout,
    /// The files of persistent memory.
    pub files: &'a [Arc<File>],
    /// Where interrupts go.
    pub board: &'a Arc<Board>,
    /// Guest memory.
    pub ram: &'a Arc<Ram>,
    /// Which vCPUs are there.
    pub presence: &'a Arc<Presence>,
    /// Where events go.
    pub hub: &'a Arc<Hub>,
    /// What memory devices reach.
    pub outside: &'a Outside,
    /// Where power requests go.
    pub waker: &'a Waker,
    /// Where a panic's words go.
    pub panic: &'a PanicReason,
}

/// Places for virtio-mmio transports, given out in order.
#[derive(Debug)]
pub struct Transports<'a> {
    parts: &'a Parts<'a>,
    mmio: &'a mut Bus,
    next: usize,
}

impl<'a> Transports<'a> {
    /// All places are free.
    pub fn new(parts: &'a Parts<'a>, mmio: &'a mut Bus) -> Self {
        Self { parts, mmio, next: 0 }
    }

    /// Number of places that are left.
    pub const fn left(&self) -> usize {
        layout::VIRTIO_GSIS.len() - self.next
    }

    /// Puts a device on the next transport.
    ///
    /// # Errors
    /// [`Overlap`], which would be a mistake in the memory map.
    ///
    /// # Panics
    /// When there is no interrupt left; the caller has counted.
    pub fn attach<D>(&mut self, device: D) -> Result<Arc<Mutex<VirtioMmio<D>>>, Overlap>
    where
        D: dimmer_devices::virtio::device::VirtioDevice + 'static,
    {
        let (memory, irq) = self.surroundings(0);
        let transport = Arc::new(Mutex::new(VirtioMmio::new(device, memory, irq)));
        self.occupy(transport.clone())?;
        Ok(transport)
    }

    /// What a device on one of the next transports reaches: guest memory, and its interrupt. `ahead` is how many transports
    /// come before.
    ///
    /// # Panics
    /// When there is no interrupt left.
    pub fn surroundings(&self, ahead: usize) -> (Memory, Arc<Pin>) {
        let place = platform::transport(self.next + ahead);
        (self.parts.ram.published().clone(), Pin::new(self.parts.board, place.gsi))
    }

    /// Has `transport` answer as the next one.
    ///
    /// # Errors
    /// [`Overlap`], which would be a mistake in the memory map.
    pub fn occupy(&mut self, transport: SharedDevice) -> Result<(), Overlap> {
        let place = platform::transport(self.next);
        self.next += 1;
        self.mmio.insert("virtio", place.address.into(), place.size.into(), transport)
    }
}
