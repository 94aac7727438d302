//! A guest that does anything with a virtio device, and the rules that the device keeps whatever that is:
//!
//! - it writes only while a driver runs, only into its rings and into buffers that a descriptor lets it write, to the page;
//! - whatever it writes is marked as written, so that no snapshot lacks it;
//! - its interrupt line is high exactly while it has a cause to tell;
//! - its state, saved and restored, is the same state.

use std::collections::BTreeSet;
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use dimmer_devices::bus::BusDevice;
use dimmer_devices::memory_map::{MemoryMap, Region};
use dimmer_devices::virtio::device::VirtioDevice;
use dimmer_devices::virtio::mmio::VirtioMmio;
use dimmer_devices::written::{Pages, Written};
use virtio_bindings::bindings::virtio_mmio as reg;
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace, GuestMemoryAtomic};

use crate::host::Line;

/// A region of guest memory. There are two, with as much nothing between them.
const REGION: u64 = 32 << 10;
const STARTS: [u64; 2] = [0, 2 * REGION];
/// Where a well-behaved driver puts the parts of queue 0; those of the next one are behind them.
const RINGS: u64 = 0x1c00;
const PAGE: u64 = 4096;
const VERSION_1: u64 = 1 << 32;
const EVENT_INDEX: u64 = 1 << 29;
const DRIVER_OK: u8 = 1 << 2;
const NEEDS_RESET: u8 = 1 << 6;

/// What the host does with a device.
pub trait Host<D>: FnMut(&mut VirtioMmio<D>, &mut Unstructured<'_>, u32) -> Result<()> {}

impl<D, F: FnMut(&mut VirtioMmio<D>, &mut Unstructured<'_>, u32) -> Result<()>> Host<D> for F {}

/// A device as a guest has it before it.
#[derive(Debug)]
pub struct Guest<D> {
    /// The device.
    pub transport: VirtioMmio<D>,
    line: Arc<Line>,
    memory: GuestMemoryAtomic<MemoryMap>,
    pages: Arc<Pages>,
    /// What memory has, by the guest's own account, region by region.
    known: [Vec<u8>; 2],
    /// Pages with bytes that a descriptor of a running driver let the device write.
    buffers: BTreeSet<u64>,
    /// Makes another device of the same kind.
    make: fn() -> D,
    /// How often another device took over.
    moves: u32,
}

impl<D: VirtioDevice> Guest<D>
where
    D::State: std::fmt::Debug + PartialEq,
{
    /// A guest in front of what `make` makes.
    pub fn new(make: fn() -> D) -> Self {
        let pages = Arc::new(Pages::new(3 * REGION));
        pages.watch(true);
        let regions = STARTS.map(|start| region(start, REGION, Written::new(&pages, start)));
        let map = MemoryMap::new().changed(&[], regions).expect("regions that are apart");
        let (memory, line) = (GuestMemoryAtomic::new(map), Arc::<Line>::default());
        let transport = VirtioMmio::new(make(), memory.clone(), line.clone());
        let known = STARTS.map(|_| vec![0; usize::try_from(REGION).expect("a small number")]);
        Self { transport, line, memory, pages, known, buffers: BTreeSet::new(), make, moves: 0 }
    }

    /// Does what `bytes` say until they end; `host` does one thing that the host may do with the device, and is told how
    /// often another one took over before.
    pub fn live(&mut self, bytes: &[u8], mut host: impl Host<D>) {
        let mut input = Unstructured::new(bytes);
        while !input.is_empty() {
            if self.step(&mut input, &mut host).is_err() {
                return;
            }
        }
    }

    fn step(&mut self, input: &mut Unstructured<'_>, host: &mut impl Host<D>) -> Result<()> {
        match input.int_in_range(0_u8..=9)? {
            0 => {
                let mut data = [0; 8];
                let width = [1, 2, 4, 8][input.choose_index(4)?];
                let offset = u64::from(input.int_in_range(0_u16..=0x1ff)?);
                self.watched(|guest| guest.transport.read(offset, &mut data[..width]));
            }
            1 => {
                let (offset, value) =
                    (u64::from(input.int_in_range(0_u16..=0x7f)?) * 4, input.arbitrary::<u32>()?);
                self.watched(|guest| guest.transport.write(offset, &value.to_le_bytes()));
            }
            2 => self
                .scribble(u64::from(input.arbitrary::<u16>()?) * 2, input.arbitrary::<[u8; 4]>()?.as_slice()),
            3 => self.start(input.arbitrary::<u64>()? | VERSION_1),
            4 | 5 => self.offer(input)?,
            6 | 7 => {
                let queue = u32::from(input.int_in_range(0_u8..=4)?);
                self.register(reg::VIRTIO_MMIO_QUEUE_NOTIFY, queue);
            }
            8 => self.watched(|guest| host(&mut guest.transport, input, guest.moves))?,
            _ => match input.int_in_range(0_u8..=7)? {
                0 => self.watched(|guest| guest.transport.system_reset()),
                1 => self.register(reg::VIRTIO_MMIO_STATUS, 0),
                _ => self.moves_on(),
            },
        }
        Ok(())
    }

    /// Another device, made the same, takes over from this one.
    fn moves_on(&mut self) {
        let state = self.transport.state();
        let mut other = VirtioMmio::new((self.make)(), self.memory.clone(), self.line.clone());
        // A queue whose rings have lost their memory would be refused; memory stays as it is here.
        other.restore(&state).expect("a state that a device had is one that a device can have");
        // Who is at the host's end of a port is not saved, and all else is.
        let once = other.state();
        assert_eq!((once.negotiation, &once.queues), (state.negotiation, &state.queues), "what was restored");
        other.restore(&once).expect("a state that a device had");
        assert_eq!(other.state(), once, "a state is not what was restored");
        self.transport = other;
        self.moves += 1;
        self.watched(|guest| guest.transport.go_on());
    }

    fn register(&mut self, register: u32, value: u32) {
        self.watched(|guest| guest.transport.write(register.into(), &value.to_le_bytes()));
    }

    /// A driver comes, as the specification has it (virtio 1.2, section 3.1.1), with some of the features that are offered.
    fn start(&mut self, features: u64) {
        let offered = self.transport.device().features() | VERSION_1 | EVENT_INDEX;
        let features = features & offered | self.transport.device().required_features();
        self.register(reg::VIRTIO_MMIO_STATUS, 0);
        self.register(reg::VIRTIO_MMIO_STATUS, 1);
        self.register(reg::VIRTIO_MMIO_STATUS, 3);
        for (selector, half) in [(0, features & 0xffff_ffff), (1, features >> 32)] {
            self.register(reg::VIRTIO_MMIO_DRIVER_FEATURES_SEL, selector);
            self.register(reg::VIRTIO_MMIO_DRIVER_FEATURES, u32::try_from(half).expect("half a word"));
        }
        self.register(reg::VIRTIO_MMIO_STATUS, 0xb);
        let sizes = self.transport.device().queue_sizes().to_vec();
        for (queue, size) in (0_u32..).zip(sizes) {
            let base = u32::try_from(RINGS).expect("a small number") * queue;
            let size = u32::from(size.min(64));
            for (register, value) in [
                (reg::VIRTIO_MMIO_QUEUE_SEL, queue),
                (reg::VIRTIO_MMIO_QUEUE_NUM, size),
                (reg::VIRTIO_MMIO_QUEUE_DESC_LOW, base),
                (reg::VIRTIO_MMIO_QUEUE_AVAIL_LOW, base + 0x400),
                (reg::VIRTIO_MMIO_QUEUE_USED_LOW, base + 0x800),
                (reg::VIRTIO_MMIO_QUEUE_READY, 1),
            ] {
                self.register(register, value);
            }
        }
        self.register(reg::VIRTIO_MMIO_STATUS, 0xf);
    }

    /// A chain of up to four descriptors, right or wrong, into a queue where a well-behaved driver has it.
    fn offer(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let queue = u64::from(input.int_in_range(0_u8..=3)?);
        let (first, count) = (input.int_in_range(0_u16..=59)?, input.int_in_range(1_u16..=4)?);
        for index in first..first + count {
            let address = match input.int_in_range(0_u8..=7)? {
                0 => input.arbitrary::<u64>()?,
                1 => REGION - u64::from(input.arbitrary::<u8>()?),
                _ => [0, 2 * REGION][input.choose_index(2)?] + u64::from(input.arbitrary::<u16>()? & 0x7fff),
            };
            let length = if input.ratio(1_u8, 8_u8)? {
                input.arbitrary::<u32>()?
            } else {
                input.arbitrary::<u8>()?.into()
            };
            let last = u16::from(index + 1 < first + count);
            let flags = if input.ratio(1_u8, 8_u8)? {
                input.arbitrary::<u16>()? & 0xf
            } else {
                last | if input.arbitrary()? { 2 } else { 0 }
            };
            let next = if input.ratio(1_u8, 16_u8)? { input.arbitrary::<u16>()? } else { index + 1 };
            let mut bytes = Vec::from(address.to_le_bytes());
            bytes.extend(length.to_le_bytes());
            bytes.extend(flags.to_le_bytes());
            bytes.extend(next.to_le_bytes());
            self.scribble(queue * RINGS + 16 * u64::from(index), &bytes);
        }
        let available = queue * RINGS + 0x400;
        let mut index = [0; 2];
        drop(self.memory.memory().read_slice(&mut index, GuestAddress(available + 2)));
        let index = u16::from_le_bytes(index);
        self.scribble(available + 4 + 2 * u64::from(index % 64), &first.to_le_bytes());
        self.scribble(available + 2, &index.wrapping_add(1).to_le_bytes());
        Ok(())
    }

    /// The guest writes into its memory, as far as there is some.
    fn scribble(&mut self, address: u64, bytes: &[u8]) {
        for (at, byte) in (address..).zip(bytes) {
            for (start, known) in STARTS.into_iter().zip(&mut self.known) {
                if let Some(place) = at.checked_sub(start).filter(|place| *place < REGION) {
                    known[usize::try_from(place).expect("a small number")] = *byte;
                    self.memory.memory().write_slice(&[*byte], GuestAddress(at)).expect("there is memory");
                }
            }
        }
        self.pages.clear();
    }

    /// Lets the device do something, and looks at what that was.
    fn watched<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.is_live();
        self.look_for_buffers();
        let result = work(self);
        // A driver that has just come may have gone again: what it put into its queues was wrong.
        let came = self.status() & DRIVER_OK != 0;
        self.look_for_buffers();
        self.compare(before || came);
        let after = self.is_live();
        let mut causes = [0; 4];
        self.transport.read(reg::VIRTIO_MMIO_INTERRUPT_STATUS.into(), &mut causes);
        assert_eq!(self.line.is_high(), causes != [0; 4], "the line is not as its causes say");
        if !after {
            self.buffers.clear();
        }
        result
    }

    /// Whether a driver runs: DRIVER_OK is set, and DEVICE_NEEDS_RESET is not.
    fn is_live(&mut self) -> bool {
        self.status() & (DRIVER_OK | NEEDS_RESET) == DRIVER_OK
    }

    fn status(&mut self) -> u8 {
        let mut status = [0; 4];
        self.transport.read(reg::VIRTIO_MMIO_STATUS.into(), &mut status);
        status[0]
    }

    /// Notes the pages that the device may write: rings, and what descriptors of its queues let it.
    fn look_for_buffers(&mut self) {
        let memory = self.memory.memory();
        for queue in self.transport.state().queues.into_iter().filter(|queue| queue.ready) {
            let place = queue.place;
            let rings = [(place.used, 6 + 8 * u64::from(place.size))];
            self.buffers.extend(rings.into_iter().flat_map(|(start, length)| touched(start, length)));
            for index in 0..u64::from(place.size) {
                let mut bytes = [0; 16];
                if memory.read_slice(&mut bytes, GuestAddress(place.descriptors + 16 * index)).is_err() {
                    continue;
                }
                let part = |from: usize| {
                    u32::from_le_bytes([bytes[from], bytes[from + 1], bytes[from + 2], bytes[from + 3]])
                };
                let (address, length) = (u64::from(part(0)) | u64::from(part(4)) << 32, part(8));
                if bytes[12] & 2 != 0 {
                    self.buffers.extend(touched(address, length.into()));
                }
            }
        }
    }

    /// Holds memory against what the guest knows of it.
    fn compare(&mut self, may_write: bool) {
        let memory = self.memory.memory();
        let mut now = vec![0; usize::try_from(REGION).expect("a small number")];
        for (start, known) in STARTS.into_iter().zip(&mut self.known) {
            memory.read_slice(&mut now, GuestAddress(start)).expect("there is memory");
            if now == *known {
                continue;
            }
            let changed = (start..).zip(now.chunks(4096).zip(known.chunks(4096)));
            let changed =
                changed.filter(|(_, (now, known))| now != known).map(|(at, _)| start + (at - start) * PAGE);
            for page in changed {
                assert!(may_write, "the device wrote at {page:#x} while no driver ran");
                assert!(self.buffers.contains(&page), "the device wrote at {page:#x}, where it may not");
                let marked = !self.pages.written(&(page..page + 1)).is_empty();
                assert!(marked, "what the device wrote at {page:#x} is not marked");
            }
            known.copy_from_slice(&now);
        }
        self.pages.clear();
    }
}

/// Guest memory from address 0 on, of which nobody notes what is written.
pub fn plain_memory(size: u64) -> GuestMemoryAtomic<MemoryMap> {
    let regions = [region(0, size, Written::default())];
    GuestMemoryAtomic::new(MemoryMap::new().changed(&[], regions).expect("one region"))
}

fn region(start: u64, size: u64, written: Written) -> Arc<Region> {
    let memory = MmapRegionBuilder::new_with_bitmap(usize::try_from(size).expect("it fits"), written)
        .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
        .with_mmap_flags(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE)
        .build()
        .expect("memory for a guest");
    Arc::new(Region::new(memory, GuestAddress(start)).expect("addresses that fit"))
}

/// The pages of the first `REGION`s that `length` bytes from `start` on touch.
fn touched(start: u64, length: u64) -> impl Iterator<Item = u64> {
    let end = start.saturating_add(length).min(3 * REGION);
    let first = start / PAGE * PAGE;
    (first..end).step_by(4096)
}

#[cfg(test)]
mod tests;
