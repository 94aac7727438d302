//! One request of a block driver (virtio 1.2, section 5.2.6): checked, with what is to be written copied out of guest memory.

use std::ops::Range;

use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
    VIRTIO_BLK_T_WRITE_ZEROES,
};

use super::{BlockConfig, LARGEST, LARGEST_CUT, SECTOR, SERIAL};
use crate::memory_map::MemoryMap;
use crate::virtio::chain::Chain;

/// Bytes of a request's head: type, reserved, sector.
const HEAD: usize = 16;
/// Bytes of what is to be discarded or zeroed: sector, number of sectors, flags.
const CUT: usize = 16;
/// The flag by which what is zeroed may give its space back.
const UNMAP: u32 = 1;

/// What is to be done to the disk; places are in bytes, and on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Read this part.
    Read(Range<u64>),
    /// Write these bytes.
    Write {
        /// Where the first one goes.
        place: u64,
        /// The bytes, whole sectors.
        bytes: Vec<u8>,
    },
    /// Whatever was answered is to outlive the host's power.
    Flush,
    /// Nobody needs what is in this part any more.
    Discard(Range<u64>),
    /// This part is to read as zeroes.
    Zero {
        /// The part.
        part: Range<u64>,
        /// Whether it may give its space back.
        unmap: bool,
    },
    /// Nothing: the answer is these bytes.
    Say(Vec<u8>),
    /// Nothing: the request is none that the device takes; the answer is this status.
    Refuse(u8),
}

/// A request that was taken and is to be answered.
#[derive(Debug)]
pub struct Job {
    /// What is to be done.
    pub work: Work,
    /// Whether what it writes is to be on the disk before it is answered: the driver does not flush.
    pub stable: bool,
    pub(super) epoch: u64,
    pub(super) chain: Chain,
}

/// What a request's last byte says.
const DONE: u8 = 0;
const IO_ERROR: u8 = 1;
const UNSUPPORTED: u8 = 2;

/// What the driver asks for.
pub(super) fn request(config: &BlockConfig, chain: &Chain, memory: &MemoryMap) -> Work {
    parse(config, chain, memory).unwrap_or_else(Work::Refuse)
}

fn parse(config: &BlockConfig, chain: &Chain, memory: &MemoryMap) -> Result<Work, u8> {
    let head: [u8; HEAD] = read(chain, memory, 0)?;
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let sector = u64::from(number(8)) | u64::from(number(12)) << 32;
    let kind = number(0);
    if config.readonly && [VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES].contains(&kind)
    {
        return Err(IO_ERROR);
    }
    // Behind what is read comes the status.
    let room = chain.writable_length().checked_sub(1).ok_or(IO_ERROR)?;
    match kind {
        VIRTIO_BLK_T_IN => Ok(Work::Read(part(config, sector, room)?)),
        VIRTIO_BLK_T_OUT => {
            let part = part(config, sector, chain.readable_length() - HEAD as u64)?;
            let mut bytes = vec![0; usize::try_from(part.end - part.start).map_err(|_| IO_ERROR)?];
            let read = chain.read_at(memory, HEAD as u64, &mut bytes);
            (read.ok() == Some(bytes.len()))
                .then_some(Work::Write { place: part.start, bytes })
                .ok_or(IO_ERROR)
        }
        VIRTIO_BLK_T_FLUSH => Ok(Work::Flush),
        VIRTIO_BLK_T_GET_ID => {
            let name = config.serial.bytes().chain(std::iter::repeat(0)).take(SERIAL).collect();
            if room < SERIAL as u64 { Err(IO_ERROR) } else { Ok(Work::Say(name)) }
        }
        VIRTIO_BLK_T_DISCARD | VIRTIO_BLK_T_WRITE_ZEROES => cut(config, chain, memory, kind),
        _ => Err(UNSUPPORTED),
    }
}

/// What is to be discarded or zeroed: one part of the disk.
fn cut(config: &BlockConfig, chain: &Chain, memory: &MemoryMap, kind: u32) -> Result<Work, u8> {
    if chain.readable_length() != (HEAD + CUT) as u64 {
        return Err(IO_ERROR);
    }
    let cut: [u8; CUT] = read(chain, memory, HEAD as u64)?;
    let number = |at: usize| u32::from_le_bytes([cut[at], cut[at + 1], cut[at + 2], cut[at + 3]]);
    let sector = u64::from(number(0)) | u64::from(number(4)) << 32;
    let (sectors, flags) = (number(8), number(12));
    let known = if kind == VIRTIO_BLK_T_DISCARD { 0 } else { UNMAP };
    if flags & !known != 0 {
        return Err(UNSUPPORTED);
    }
    if sectors > LARGEST_CUT {
        return Err(IO_ERROR);
    }
    let part = on_disk(config, sector, u64::from(sectors) * SECTOR)?;
    Ok(match kind {
        VIRTIO_BLK_T_DISCARD => Work::Discard(part),
        _ => Work::Zero { part, unmap: flags & UNMAP != 0 },
    })
}

/// The part of the disk from `sector` on that a transfer of `length` bytes is about.
fn part(config: &BlockConfig, sector: u64, length: u64) -> Result<Range<u64>, u8> {
    if length > LARGEST {
        return Err(IO_ERROR);
    }
    on_disk(config, sector, length)
}

fn on_disk(config: &BlockConfig, sector: u64, length: u64) -> Result<Range<u64>, u8> {
    let end = sector.checked_add(length / SECTOR).filter(|end| *end <= config.sectors);
    match end {
        Some(end) if length.is_multiple_of(SECTOR) => Ok(sector * SECTOR..end * SECTOR),
        _ => Err(IO_ERROR),
    }
}

fn read<const N: usize>(chain: &Chain, memory: &MemoryMap, offset: u64) -> Result<[u8; N], u8> {
    let mut bytes = [0; N];
    match chain.read_at(memory, offset, &mut bytes) {
        Ok(length) if length == N => Ok(bytes),
        _ => Err(IO_ERROR),
    }
}

impl Job {
    /// Writes the answer to the driver's memory; returns how many bytes. The status is the last byte that the driver has room
    /// for; without memory for it there is no answer but that the chain comes back.
    pub(super) fn write_back(&self, memory: &MemoryMap, result: &Result<Vec<u8>, ()>) -> u32 {
        let Some(last) = self.chain.writable_length().checked_sub(1) else { return 0 };
        let (data, mut status) = match (&self.work, result) {
            (Work::Refuse(status), _) => (&[][..], *status),
            (_, Ok(data)) => (&data[..], DONE),
            (_, Err(())) => (&[][..], IO_ERROR),
        };
        let mut written = self.chain.write(memory, data).unwrap_or(0);
        if written < data.len() {
            (written, status) = (0, IO_ERROR);
        }
        let told = self.chain.write_at(memory, last, &[status]).unwrap_or(0);
        u32::try_from(written + told).unwrap_or(u32::MAX)
    }
}
