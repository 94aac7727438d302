//! The device from both sides: the host's requests, and a driver on the queue.

use std::sync::Arc;

use super::abi::*;
use super::*;
use crate::bus::BusDevice;
use crate::fault::{Fault, Faults};
use crate::testing::{Alarms, Call, Events, FakeHost, outcome};
use crate::virtio::mmio::VirtioMmio;
use crate::virtio::testing::{Buffer, Driver, VERSION_1};

mod faults;
mod model;
mod requested;
mod requests;
mod resets;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const START: u64 = 8 * GIB;
const BLOCK: u64 = 2 * MIB;
const SIZE: u64 = 6 * GIB + 512 * MIB;
const FEATURES: u64 = VERSION_1 | F_UNPLUGGED_INACCESSIBLE;

const ACK: Option<(u16, u16)> = Some((RESPONSE_ACK, 0));
const NACK: Option<(u16, u16)> = Some((RESPONSE_NACK, 0));
const BUSY: Option<(u16, u16)> = Some((RESPONSE_BUSY, 0));
const ERROR: Option<(u16, u16)> = Some((RESPONSE_ERROR, 0));

/// Causes of an interrupt: a used buffer, and a change of the configuration.
const USED: u32 = 1;
const CONFIG: u32 = 2;

/// A device and all that it reaches.
struct Machine {
    driver: Driver<VirtioMem>,
    host: Arc<FakeHost>,
    events: Arc<Events>,
    faults: Arc<Faults>,
    alarms: Arc<Alarms>,
}

fn config() -> VirtioMemConfig {
    VirtioMemConfig {
        id: "vmem0".to_owned(),
        region: GuestRange::new(START, SIZE),
        block_size: BLOCK,
        node: 1,
        requested_size: 0,
        legacy: false,
    }
}

/// `[offset, offset + size)` of the region.
const fn at(offset: u64, size: u64) -> GuestRange {
    GuestRange::new(START + offset, size)
}

impl Machine {
    /// A machine whose driver has not come yet.
    fn without_driver(config: VirtioMemConfig) -> Result<Self, VirtioMemError> {
        let (host, events) = (FakeHost::new(), Events::new());
        let (faults, alarms) = (Arc::<Faults>::default(), Arc::<Alarms>::default());
        let outside = Outside {
            host: host.clone(),
            events: events.clone(),
            faults: faults.clone(),
            alarm: alarms.clone(),
        };
        let driver = Driver::new(VirtioMem::new(config, outside)?);
        Ok(Self { driver, host, events, faults, alarms })
    }

    fn with(config: VirtioMemConfig) -> Self {
        let mut machine = Self::without_driver(config).unwrap();
        machine.driver.start(FEATURES);
        machine
    }

    /// A machine whose driver was asked for `size` bytes.
    fn requesting(size: u64) -> Self {
        let mut machine = Self::with(config());
        machine.transport().request(size).unwrap();
        machine.events.taken();
        machine.driver.interrupts();
        machine
    }

    /// Another device, made the same, takes over from this one: its state as text, its host memory and its driver.
    fn moves_on(&mut self, config: VirtioMemConfig) {
        let state = serde_json::to_string(&self.transport().state()).unwrap();
        let outside = Outside {
            host: self.host.clone(),
            events: self.events.clone(),
            faults: self.faults.clone(),
            alarm: self.alarms.clone(),
        };
        let device = VirtioMem::new(config, outside).unwrap();
        let mut other = VirtioMmio::new(device, self.driver.memory.clone(), self.driver.line.clone());
        other.restore(&serde_json::from_str(&state).unwrap()).unwrap();
        assert_eq!(serde_json::to_string(&other.state()).unwrap(), state);
        assert_eq!(other.status(), self.status());
        self.driver.transport = other;
    }

    fn transport(&mut self) -> &mut VirtioMmio<VirtioMem> {
        &mut self.driver.transport
    }

    fn status(&self) -> MemoryStatus {
        self.driver.transport.status()
    }

    /// What is backed, which is what the device's books say is plugged.
    fn backed(&self) -> Vec<GuestRange> {
        let backed = self.host.backed();
        assert_eq!(self.driver.transport.device().holding().ranges, backed);
        assert_eq!(self.status().plugged_size, backed.iter().map(|range| range.size).sum::<u64>());
        backed
    }

    /// The log's requests and responses, as words.
    fn log(&self) -> Vec<String> {
        let records = self.driver.transport.device().requests();
        records.iter().map(|record| format!("{} {}", record.request, record.response)).collect()
    }

    /// Sets faults, given as the API takes them, for this device.
    fn set_faults(&self, faults: &[&str]) {
        let fault = |text: &&str| {
            let mut fault: serde_json::Value = serde_json::from_str(text).unwrap();
            fault["device"] = "vmem0".into();
            serde_json::from_value::<Fault>(fault).unwrap()
        };
        self.faults.set(faults.iter().map(fault).collect()).unwrap();
    }

    /// Makes a request as Linux does and does not wait. Where its response will be.
    fn submit(&mut self, kind: u16, offset: u64, blocks: u16) -> u64 {
        let request = wire(kind, START.wrapping_add(offset), blocks);
        let (_, addresses) = self.driver.add(0, &[Buffer::Out(&request), Buffer::In(10)]);
        self.driver.notify(0);
        addresses[1]
    }

    /// Sends a request as Linux does. Type and state of the response, if there is one.
    fn send(&mut self, kind: u16, offset: u64, blocks: u16) -> Option<(u16, u16)> {
        self.send_raw(kind, START.wrapping_add(offset), blocks)
    }

    fn send_raw(&mut self, kind: u16, address: u64, blocks: u16) -> Option<(u16, u16)> {
        let request = wire(kind, address, blocks);
        self.send_chain(&[Buffer::Out(&request), Buffer::In(10)])
    }

    /// Sends a chain whose last buffer is the response's.
    fn send_chain(&mut self, chain: &[Buffer<'_>]) -> Option<(u16, u16)> {
        let (head, addresses) = self.driver.add(0, chain);
        self.driver.notify(0);
        let used = self.driver.used(0);
        assert_eq!(used.len(), 1, "every request comes back");
        assert_eq!(used[0].0, u32::from(head));
        if used[0].1 == 0 {
            return None;
        }
        assert_eq!(used[0].1, 10);
        Some(self.response(*addresses.last().unwrap()))
    }

    /// Type and state of the response at `address`.
    fn response(&self, address: u64) -> (u16, u16) {
        let response = self.driver.bytes(address, 10);
        let word = |at: usize| u16::from_le_bytes([response[at], response[at + 1]]);
        (word(0), word(8))
    }

    fn plug(&mut self, offset: u64, size: u64) -> Option<(u16, u16)> {
        self.send(REQUEST_PLUG, offset, u16::try_from(size / BLOCK).unwrap())
    }

    fn unplug(&mut self, offset: u64, size: u64) -> Option<(u16, u16)> {
        self.send(REQUEST_UNPLUG, offset, u16::try_from(size / BLOCK).unwrap())
    }

    fn config_u64(&mut self, offset: u64) -> u64 {
        let mut data = [0; 8];
        self.transport().read(0x100 + offset, &mut data);
        u64::from_le_bytes(data)
    }

    /// The number of changes of the configuration space.
    fn generation(&mut self) -> u32 {
        self.driver.read(0xfc)
    }
}

fn wire(kind: u16, address: u64, blocks: u16) -> Vec<u8> {
    let mut bytes = vec![0; 24];
    bytes[..2].copy_from_slice(&kind.to_le_bytes());
    bytes[8..16].copy_from_slice(&address.to_le_bytes());
    bytes[16..18].copy_from_slice(&blocks.to_le_bytes());
    bytes
}
