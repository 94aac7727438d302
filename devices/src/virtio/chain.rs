//! A descriptor chain: the buffers of one request (virtio 1.2, section 2.7.5).
//!
//! The descriptors are read once, when the chain is taken from its queue, so what is checked here stays so
//! while a device works on it. A chain has at most as many descriptors as its queue: a longer one is a loop.
//! Indirect tables are not offered (`VIRTIO_F_INDIRECT_DESC`), so a descriptor that names one is refused; a
//! chain can then not be longer than the driver's table allows.

use crate::memory_map::MemoryMap;
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryError};

/// What is wrong with a chain; the driver broke its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainProblem {
    /// The driver made available what is no descriptor, or chained it.
    #[error("descriptor {0} is beyond the end of the table")]
    Beyond(u16),
    /// The descriptor's entry in the table is not in guest memory.
    #[error("descriptor {0} cannot be read")]
    Unreadable(u16),
    /// The driver did not negotiate indirect tables: they are not offered.
    #[error("descriptor {0} is indirect, which was not offered")]
    Indirect(u16),
    /// Buffers that the device reads come first (virtio 1.2, section 2.7.4.2).
    #[error("descriptor {0} is to be read, behind one that is to be written")]
    Order(u16),
    /// More descriptors than the queue has.
    #[error("the chain from descriptor {0} has no end")]
    Loop(u16),
}

/// A piece of guest memory, of which nothing is known but what the driver said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffer {
    /// Where it begins.
    pub address: GuestAddress,
    /// Its length in bytes.
    pub length: u32,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    head: u16,
    readable: Vec<Buffer>,
    writable: Vec<Buffer>,
}

impl Chain {
    /// Reads the chain that begins at descriptor `head` of the `table` of a queue of `size`.
    ///
    /// # Errors
    /// [`ChainProblem`].
    pub(super) fn read(
        memory: &MemoryMap,
        table: GuestAddress,
        size: u16,
        head: u16,
    ) -> Result<Self, ChainProblem> {
        let mut chain = Self { head, readable: Vec::new(), writable: Vec::new() };
        let mut index = head;
        for _ in 0..size {
            let descriptor = entry(memory, table, size, index)?;
            let buffer = Buffer { address: descriptor.addr(), length: descriptor.len() };
            match (descriptor.is_write_only(), chain.writable.is_empty()) {
                (true, _) => chain.writable.push(buffer),
                (false, true) => chain.readable.push(buffer),
                (false, false) => return Err(ChainProblem::Order(index)),
            }
            if !descriptor.has_next() {
                return Ok(chain);
            }
            index = descriptor.next();
        }
        Err(ChainProblem::Loop(head))
    }

    /// The number of its first descriptor, by which the driver knows it.
    pub const fn head(&self) -> u16 {
        self.head
    }

    /// Number of its descriptors.
    pub const fn descriptors(&self) -> usize {
        self.readable.len() + self.writable.len()
    }

    /// What the device may write, in its order.
    pub fn writable(&self) -> &[Buffer] {
        &self.writable
    }

    /// Bytes that the device reads, at most.
    pub fn readable_length(&self) -> u64 {
        length(&self.readable)
    }

    /// Bytes that the device may write.
    pub fn writable_length(&self) -> u64 {
        length(&self.writable)
    }

    /// Fills `bytes` with what the driver has for the device from byte `offset` on; returns how many there
    /// were, fewer than `bytes` at the end of the chain.
    ///
    /// # Errors
    /// When a buffer is not in guest memory.
    pub fn read_at(
        &self,
        memory: &MemoryMap,
        mut offset: u64,
        bytes: &mut [u8],
    ) -> Result<usize, GuestMemoryError> {
        let mut filled = 0;
        for Buffer { address, length } in &self.readable {
            let length = u64::from(*length);
            if offset >= length {
                offset -= length;
                continue;
            }
            let wanted = (length - offset).min((bytes.len() - filled) as u64);
            let end = filled + usize::try_from(wanted).expect("no longer than a slice");
            let start =
                address.0.checked_add(offset).ok_or(GuestMemoryError::InvalidGuestAddress(*address))?;
            memory.read_slice(&mut bytes[filled..end], GuestAddress(start))?;
            (filled, offset) = (end, 0);
            if filled == bytes.len() {
                break;
            }
        }
        Ok(filled)
    }

    /// Writes as much of `bytes` as the chain has room for; returns how many that was.
    ///
    /// # Errors
    /// When a buffer is not in guest memory.
    pub fn write(&self, memory: &MemoryMap, bytes: &[u8]) -> Result<usize, GuestMemoryError> {
        self.write_at(memory, 0, bytes)
    }

    /// The same, from byte `offset` of what the device may write on.
    ///
    /// # Errors
    /// When a buffer is not in guest memory.
    pub fn write_at(
        &self,
        memory: &MemoryMap,
        mut offset: u64,
        bytes: &[u8],
    ) -> Result<usize, GuestMemoryError> {
        let mut rest = bytes;
        for Buffer { address, length } in &self.writable {
            let length = u64::from(*length);
            if offset >= length {
                offset -= length;
                continue;
            }
            let room = usize::try_from(length - offset).unwrap_or(usize::MAX);
            let (part, behind) = rest.split_at(rest.len().min(room));
            let start =
                address.0.checked_add(offset).ok_or(GuestMemoryError::InvalidGuestAddress(*address))?;
            memory.write_slice(part, GuestAddress(start))?;
            (rest, offset) = (behind, 0);
            if rest.is_empty() {
                break;
            }
        }
        Ok(bytes.len() - rest.len())
    }

    /// The first `wanted` bytes that the device may write, all of which are in guest memory now; `None`
    /// when there are fewer.
    pub fn room(&self, memory: &MemoryMap, wanted: usize) -> Option<Vec<Buffer>> {
        let mut missing = u32::try_from(wanted).ok()?;
        let mut room = Vec::with_capacity(1);
        for Buffer { address, length } in &self.writable {
            let buffer = Buffer { address: *address, length: missing.min(*length) };
            if !GuestMemoryBackend::check_range(memory, buffer.address, buffer.length as usize) {
                return None;
            }
            room.push(buffer);
            missing -= buffer.length;
            if missing == 0 {
                return Some(room);
            }
        }
        None
    }
}

fn length(buffers: &[Buffer]) -> u64 {
    buffers.iter().map(|buffer| u64::from(buffer.length)).sum()
}

fn entry(memory: &MemoryMap, table: GuestAddress, size: u16, index: u16) -> Result<Descriptor, ChainProblem> {
    if index >= size {
        return Err(ChainProblem::Beyond(index));
    }
    let place = GuestAddress(table.0 + size_of::<Descriptor>() as u64 * u64::from(index));
    let descriptor: Descriptor = memory.read_obj(place).map_err(|_| ChainProblem::Unreadable(index))?;
    if descriptor.refers_to_indirect_table() { Err(ChainProblem::Indirect(index)) } else { Ok(descriptor) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TABLE: GuestAddress = GuestAddress(0x1000);
    const SIZE: u16 = 4;
    const NEXT: u16 = 1;
    const WRITE: u16 = 2;
    const INDIRECT: u16 = 4;

    fn memory(descriptors: &[Descriptor]) -> MemoryMap {
        let memory = MemoryMap::from_ranges(&[(GuestAddress(0), 0x4000)]).unwrap();
        for (place, descriptor) in (TABLE.0..).step_by(16).zip(descriptors) {
            memory.write_obj(*descriptor, GuestAddress(place)).unwrap();
        }
        memory
    }

    fn read(descriptors: &[Descriptor], head: u16) -> Result<Chain, ChainProblem> {
        Chain::read(&memory(descriptors), TABLE, SIZE, head)
    }

    #[test]
    fn buffers_are_read_and_written_across_their_bounds() {
        let memory = memory(&[
            Descriptor::new(0x2000, 3, NEXT, 2),
            Descriptor::new(0x3000, 8, WRITE, 0),
            Descriptor::new(0x2100, 5, NEXT, 3),
            Descriptor::new(0x2f00, 2, NEXT | WRITE, 1),
        ]);
        memory.write_slice(b"abc", GuestAddress(0x2000)).unwrap();
        memory.write_slice(b"defgh", GuestAddress(0x2100)).unwrap();
        let chain = Chain::read(&memory, TABLE, SIZE, 0).unwrap();
        for (offset, wanted, seen) in [(0, 100, "abcdefgh"), (1, 4, "bcde"), (3, 5, "defgh"), (8, 1, "")] {
            let mut bytes = vec![0; wanted];
            let read = chain.read_at(&memory, offset, &mut bytes).unwrap();
            assert_eq!(&bytes[..read], seen.as_bytes(), "{wanted} bytes from {offset}");
        }
        assert_eq!(chain.write(&memory, b"0123456789ab").unwrap(), 10);
        let mut written = [0; 8];
        memory.read_slice(&mut written, GuestAddress(0x3000)).unwrap();
        assert_eq!(&written, b"23456789");
        let room = [(0x2f00, 2), (0x3000, 3)]
            .map(|(address, length)| Buffer { address: GuestAddress(address), length });
        assert_eq!(chain.room(&memory, 5), Some(room.to_vec()));
        assert_eq!(chain.room(&memory, 11), None);
    }

    #[test]
    fn what_breaks_a_queue_is_named() {
        let good = Descriptor::new(0x2000, 1, NEXT, 1);
        for (second, problem) in [
            (Descriptor::new(0x2000, 1, NEXT, 0), ChainProblem::Loop(0)),
            (Descriptor::new(0x2000, 1, NEXT, SIZE), ChainProblem::Beyond(SIZE)),
            (Descriptor::new(0x2000, 16, INDIRECT, 0), ChainProblem::Indirect(1)),
        ] {
            assert_eq!(read(&[good, second], 0), Err(problem));
        }
        assert_eq!(read(&[good], SIZE), Err(ChainProblem::Beyond(SIZE)));
        let writable = Descriptor::new(0x2000, 1, NEXT | WRITE, 1);
        assert_eq!(read(&[writable, Descriptor::new(0x2000, 1, 0, 0)], 0), Err(ChainProblem::Order(1)));
        let nowhere = Chain::read(&memory(&[]), GuestAddress(0x8000), SIZE, 0);
        assert_eq!(nowhere, Err(ChainProblem::Unreadable(0)));
    }

    proptest! {
        #[test]
        fn no_table_makes_a_chain_longer_than_its_queue(
            entries in prop::collection::vec((any::<u64>(), any::<u32>(), 0..8_u16, 0..SIZE + 2), 4),
            head in 0..SIZE + 2,
            offset in any::<u64>(),
        ) {
            let descriptors: Vec<_> =
                entries.iter().map(|(address, length, flags, next)| Descriptor::new(*address, *length, *flags, *next)).collect();
            let memory = memory(&descriptors);
            if let Ok(chain) = Chain::read(&memory, TABLE, SIZE, head) {
                prop_assert!(chain.descriptors() <= SIZE.into());
                let mut bytes = [0; 64];
                let _ = chain.read_at(&memory, offset, &mut bytes);
                let _ = chain.write(&memory, &bytes);
                let _ = chain.room(&memory, 64);
            }
        }
    }
}
