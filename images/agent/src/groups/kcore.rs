//! The kernel's memory by its own addresses: /proc/kcore, an ELF core file of it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The file.
pub(super) const PATH: &str = "/proc/kcore";

/// Bytes of an ELF64 header and of a program header.
const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
/// A program header's type that says that its bytes are in the file.
const PT_LOAD: u32 = 1;

/// Addresses that are in the file, and where.
#[derive(Debug)]
struct Segment {
    address: u64,
    size: u64,
    offset: u64,
}

/// The kernel's memory as it is mapped now.
#[derive(Debug)]
pub(super) struct Kcore {
    file: File,
    segments: Vec<Segment>,
}

impl Kcore {
    /// Reads what is where; memory that comes later is not in it.
    pub(super) fn open() -> io::Result<Self> {
        let file = File::open(PATH)?;
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0)?;
        let (table, count) = (u64_at(&header, 32), u16_at(&header, 56));
        let mut headers = vec![0; usize::from(count) * PROGRAM_HEADER];
        file.read_exact_at(&mut headers, table)?;
        let load = |header: &&[u8]| u32_at(header, 0) == PT_LOAD;
        let segment = |header: &[u8]| Segment {
            offset: u64_at(header, 8),
            address: u64_at(header, 16),
            size: u64_at(header, 32),
        };
        let segments = headers.chunks_exact(PROGRAM_HEADER).filter(load).map(segment).collect();
        Ok(Self { file, segments })
    }

    /// Fills `bytes` from `address` on.
    pub(super) fn read(&self, address: u64, bytes: &mut [u8]) -> io::Result<()> {
        let inside = |segment: &&Segment| {
            address.checked_sub(segment.address).is_some_and(|from| from + bytes.len() as u64 <= segment.size)
        };
        let segment = self.segments.iter().find(inside);
        let segment =
            segment.ok_or_else(|| io::Error::other(format!("address {address:#x} is not in it")))?;
        self.file.read_exact_at(bytes, segment.offset + (address - segment.address))
    }

    /// The byte at `address`.
    pub(super) fn u8(&self, address: u64) -> io::Result<u8> {
        let mut byte = [0];
        self.read(address, &mut byte)?;
        Ok(byte[0])
    }

    /// The 32-bit number at `address`.
    pub(super) fn u32(&self, address: u64) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.read(address, &mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    /// The 64-bit number at `address`.
    pub(super) fn u64(&self, address: u64) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }
}

/// The first `N` bytes at `offset`; the caller's slice has them.
fn bytes_at<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    bytes[offset..offset + N].try_into().expect("the slice has N bytes")
}

fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(bytes_at(bytes, offset))
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes_at(bytes, offset))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes_at(bytes, offset))
}
