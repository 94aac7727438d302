//! Requests of a virtio-mem driver, held against a list of blocks.

use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use dimmer_devices::bus::BusDevice;
use dimmer_devices::memory::GuestRange;
use dimmer_devices::virtio::mmio::VirtioMmio;
use dimmer_devices::virtio_mem::{VirtioMem, VirtioMemConfig};
use virtio_bindings::bindings::virtio_mmio as reg;
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace, GuestMemoryAtomic};

use crate::guest::plain_memory;
use crate::host::{Host, Line, UNIT, outside};

const START: u64 = 4 << 30;
const BLOCKS: usize = 80;
/// Where the driver has its request and the response.
const REQUEST: u64 = 0x4000;
const RESPONSE: u64 = 0x5000;
/// Types of requests and of responses (virtio 1.2, section 5.15.6).
const PLUG: u16 = 0;
const UNPLUG: u16 = 1;
const UNPLUG_ALL: u16 = 2;
const STATE: u16 = 3;
const ACK: u16 = 0;
const NACK: u16 = 1;
const BUSY: u16 = 2;
const ERROR: u16 = 3;

/// A device, its driver's place in the ring, and the list of blocks.
struct Machine {
    transport: VirtioMmio<VirtioMem>,
    memory: GuestMemoryAtomic<dimmer_devices::memory_map::MemoryMap>,
    host: Arc<Host>,
    sent: u16,
    plugged: [bool; BLOCKS],
    requested: usize,
}

pub fn model(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let mut machine = Machine::new();
    while !input.is_empty() && machine.step(&mut input).is_ok() {
        let backed = machine.host.of("vmem0").iter().map(|range| range.size).sum::<u64>();
        let plugged = machine.plugged.iter().filter(|plugged| **plugged).count() as u64 * UNIT;
        assert_eq!((backed, machine.transport.status().plugged_size), (plugged, plugged));
    }
}

impl Machine {
    fn new() -> Self {
        let host = Arc::<Host>::default();
        let region = GuestRange::new(START, BLOCKS as u64 * UNIT);
        let id = "vmem0".to_owned();
        let config =
            VirtioMemConfig { id, region, block_size: UNIT, node: 0, requested_size: 0, legacy: false };
        let device = VirtioMem::new(config, outside(&host)).expect("a device that can be");
        let memory = plain_memory(0x6000);
        let transport = VirtioMmio::new(device, memory.clone(), Arc::<Line>::default());
        let mut machine = Self { transport, memory, host, sent: 0, plugged: [false; BLOCKS], requested: 0 };
        machine.start();
        machine
    }

    fn start(&mut self) {
        self.sent = 0;
        self.memory.memory().write_slice(&[0; 0x3000], GuestAddress(0)).expect("there is memory");
        for (register, value) in [
            (reg::VIRTIO_MMIO_STATUS, 0),
            (reg::VIRTIO_MMIO_STATUS, 3),
            (reg::VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0),
            (reg::VIRTIO_MMIO_DRIVER_FEATURES, 2),
            (reg::VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1),
            (reg::VIRTIO_MMIO_DRIVER_FEATURES, 1),
            (reg::VIRTIO_MMIO_STATUS, 0xb),
            (reg::VIRTIO_MMIO_QUEUE_NUM, 64),
            (reg::VIRTIO_MMIO_QUEUE_AVAIL_LOW, 0x1000),
            (reg::VIRTIO_MMIO_QUEUE_USED_LOW, 0x2000),
            (reg::VIRTIO_MMIO_QUEUE_READY, 1),
            (reg::VIRTIO_MMIO_STATUS, 0xf),
        ] {
            self.transport.write(register.into(), &u32::to_le_bytes(value));
        }
    }

    fn step(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match input.int_in_range(0_u8..=15)? {
            0 => {
                let blocks = input.int_in_range(0_u8..=90)?;
                let accepted = self.transport.request(u64::from(blocks) * UNIT).is_ok();
                assert_eq!(accepted, usize::from(blocks) <= BLOCKS, "a request for {blocks} blocks");
                self.requested = if accepted { blocks.into() } else { self.requested };
            }
            1 => {
                self.host.fail_next(false);
                self.transport.system_reset();
                self.plugged = [false; BLOCKS];
                self.start();
            }
            _ => {
                let kind = input.int_in_range(0_u16..=4)?;
                let (first, count) = (input.int_in_range(0_u16..=85)?, input.int_in_range(0_u16..=40)?);
                let fails = input.ratio(1_u8, 8_u8)?;
                self.send(kind, first.into(), count.into(), fails);
            }
        }
        Ok(())
    }

    /// Sends a request and holds the answer against the list, which follows.
    fn send(&mut self, kind: u16, first: usize, count: usize, fails: bool) {
        self.host.fail_next(fails);
        let usable = usize::try_from(self.transport.status().usable_size / UNIT).expect("a small number");
        let blocks = self.plugged[..usable].get_mut(first..first + count).filter(|blocks| !blocks.is_empty());
        let (mut all, mut none) = (false, false);
        if let Some(blocks) = &blocks {
            (all, none) = (blocks.iter().all(|one| *one), blocks.iter().all(|one| !*one));
        }
        let (answer, state) = match (kind, blocks) {
            (UNPLUG_ALL, _) => (ACK, 0),
            (PLUG | UNPLUG | STATE, None) | (4.., _) => (ERROR, 0),
            (STATE, Some(_)) => (
                ACK,
                if all {
                    0
                } else if none {
                    1
                } else {
                    2
                },
            ),
            (PLUG, Some(_)) if !none => (ERROR, 0),
            (UNPLUG, Some(_)) if !all => (ERROR, 0),
            _ => (ACK, 0),
        };
        let full = kind == PLUG && answer == ACK && self.count() + count > self.requested;
        let works = matches!(kind, PLUG | UNPLUG) || kind == UNPLUG_ALL && self.count() > 0;
        let answer = match answer {
            ACK if full => NACK,
            ACK if fails && works => BUSY,
            answer => answer,
        };
        assert_eq!(self.exchange(kind, first, count), (answer, state), "{kind} {first} {count} {fails}");
        self.host.fail_next(false);
        match kind {
            PLUG if answer == ACK => self.plugged[first..first + count].fill(true),
            UNPLUG if answer == ACK => self.plugged[first..first + count].fill(false),
            UNPLUG_ALL if answer == ACK => self.plugged = [false; BLOCKS],
            _ => {}
        }
    }

    fn count(&self) -> usize {
        self.plugged.iter().filter(|plugged| **plugged).count()
    }

    /// Type and state of the response.
    fn exchange(&mut self, kind: u16, first: usize, count: usize) -> (u16, u16) {
        let memory = self.memory.memory();
        let write = |bytes: &[u8], at: u64| {
            memory.write_slice(bytes, GuestAddress(at)).expect("there is memory");
        };
        write(&kind.to_le_bytes(), REQUEST);
        write(&(START + first as u64 * UNIT).to_le_bytes(), REQUEST + 8);
        write(&u16::try_from(count).expect("a small number").to_le_bytes(), REQUEST + 16);
        write(&[0xff; 10], RESPONSE);
        for (index, (address, length, flags)) in
            [(REQUEST, 24_u32, 1_u16), (RESPONSE, 10, 2)].into_iter().enumerate()
        {
            write(&address.to_le_bytes(), 16 * index as u64);
            write(&length.to_le_bytes(), 16 * index as u64 + 8);
            write(&flags.to_le_bytes(), 16 * index as u64 + 12);
            write(&1_u16.to_le_bytes(), 16 * index as u64 + 14);
        }
        write(&0_u16.to_le_bytes(), 0x1004 + 2 * u64::from(self.sent % 64));
        self.sent = self.sent.wrapping_add(1);
        write(&self.sent.to_le_bytes(), 0x1002);
        self.transport.write(reg::VIRTIO_MMIO_QUEUE_NOTIFY.into(), &[0; 4]);
        let word = |at: u64| memory.read_obj::<u16>(GuestAddress(at)).expect("there is memory");
        assert_eq!(word(0x2002), self.sent, "every request comes back at once");
        (word(RESPONSE), word(RESPONSE + 8))
    }
}
