//! Reading and writing guest-physical addresses through /dev/mem (mem(4)).
//!
//! Debian's kernels allow what nobody has claimed: not the guest's RAM, and nothing in a region that
//! virtio-mem's driver holds (`devmem_is_allowed` in arch/x86/mm/init.c, `resource_is_exclusive` in
//! kernel/resource.c). A window of memory devices with nothing known in it can be mapped, and what
//! its addresses then do is up to the machine.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use crate::mapping::Mapping;
use crate::protocol::{Bytes, Failure};

/// Most bytes of one request.
pub const MAX_BYTES: usize = 1 << 20;

/// Bytes of an access where the address is a multiple of it and as many bytes are left; the others
/// go one by one.
const WIDE: usize = 8;

/// Reads `count` bytes at `address` of the memory that `device` is.
///
/// # Errors
/// [`MAX_BYTES`], or the kernel's refusal: `EPERM` for an address that is not allowed.
pub fn peek(device: &Path, address: u64, count: usize) -> Result<Bytes, Failure> {
    let window = Window::open(device, address, count, false)?;
    let mut bytes = Vec::with_capacity(count);
    for access in accesses(&window.bytes) {
        match access {
            Access::Wide(at) => bytes.extend(window.mapping.read_u64(at).to_ne_bytes()),
            Access::Byte(at) => bytes.push(window.mapping.read_u8(at)),
        }
    }
    Ok(Bytes(bytes))
}

/// Writes `bytes` at `address` of the memory that `device` is.
///
/// # Errors
/// As for [`peek`].
pub fn poke(device: &Path, address: u64, bytes: &[u8]) -> Result<(), Failure> {
    let window = Window::open(device, address, bytes.len(), true)?;
    let mut rest = bytes;
    for access in accesses(&window.bytes) {
        match access {
            Access::Wide(at) => {
                let (word, others) = rest.split_first_chunk().expect("there is an access for every byte");
                window.mapping.write_u64(at, u64::from_ne_bytes(*word));
                rest = others;
            }
            Access::Byte(at) => {
                let (byte, others) = rest.split_first().expect("there is an access for every byte");
                window.mapping.write_u8(at, *byte);
                rest = others;
            }
        }
    }
    Ok(())
}

/// Whole pages of the memory, and the bytes in them that are meant.
struct Window {
    mapping: Mapping,
    bytes: Range<usize>,
}

impl Window {
    fn open(device: &Path, address: u64, count: usize, writable: bool) -> Result<Self, Failure> {
        if !(1..=MAX_BYTES).contains(&count) {
            return Err(Failure::new(format!("{count} bytes: it must be 1 to {MAX_BYTES}")));
        }
        let page = rustix::param::page_size();
        let inside = usize::try_from(address % page as u64).expect("it is less than a page");
        let size = (inside + count).next_multiple_of(page);
        let what = || format!("map {count} bytes at {address:#x} of {}", device.display());
        let file = File::options().read(true).write(writable).open(device);
        let mapping = file.and_then(|file| {
            Mapping::file(&file, address - inside as u64, size, writable).map_err(io::Error::from)
        });
        let mapping = mapping.map_err(|error| Failure::from_io(&what(), &error))?;
        Ok(Self { mapping, bytes: inside..inside + count })
    }
}

/// One access of the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Wide(usize),
    Byte(usize),
}

/// The accesses that `bytes` are made of, ascending.
fn accesses(bytes: &Range<usize>) -> impl Iterator<Item = Access> + use<> {
    let (mut at, end) = (bytes.start, bytes.end);
    std::iter::from_fn(move || {
        let here = at;
        let access = match here.is_multiple_of(WIDE) && end - here >= WIDE {
            _ if here == end => return None,
            true => Access::Wide(here),
            false => Access::Byte(here),
        };
        at += if matches!(access, Access::Wide(_)) { WIDE } else { 1 };
        Some(access)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of two pages that counts.
    fn memory() -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes: Vec<u8> = (0..2 * rustix::param::page_size()).map(|at| at.to_le_bytes()[0]).collect();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn bytes_are_those_at_the_address() {
        let memory = memory();
        let whole = std::fs::read(memory.path()).unwrap();
        for (address, count) in [(0, 1), (5, 30), (4090, 16), (4096, 4096), (8191, 1)] {
            let bytes = peek(memory.path(), address as u64, count).unwrap();
            assert_eq!(bytes.0, whole[address..address + count], "{count} bytes at {address}");
        }
    }

    #[test]
    fn nothing_but_what_is_written_changes() {
        let memory = memory();
        let mut expected = std::fs::read(memory.path()).unwrap();
        for (address, text) in [(7, &b"across a word"[..]), (4093, b"pages"), (64, b"a word!!"), (8191, b".")]
        {
            poke(memory.path(), address as u64, text).unwrap();
            expected[address..address + text.len()].copy_from_slice(text);
        }
        assert_eq!(std::fs::read(memory.path()).unwrap(), expected);
    }

    #[test]
    fn words_are_accessed_whole() {
        let seen: Vec<_> = accesses(&(6..25)).collect();
        use Access::{Byte, Wide};
        assert_eq!(seen, [Byte(6), Byte(7), Wide(8), Wide(16), Byte(24)]);
        assert_eq!(accesses(&(8..16)).collect::<Vec<_>>(), [Wide(8)]);
        assert_eq!(accesses(&(8..15)).count(), 7);
    }

    #[test]
    fn what_cannot_be_mapped_is_named() {
        let failure = peek(Path::new("/no/such/memory"), 0x1234, 8).unwrap_err();
        assert_eq!(failure.errno, Some(libc::ENOENT));
        assert!(failure.text.starts_with("Cannot map 8 bytes at 0x1234 of /no/such/memory: ENOENT"));
        for count in [0, MAX_BYTES + 1] {
            let failure = peek(memory().path(), 0, count).unwrap_err();
            assert_eq!(failure.text, format!("{count} bytes: it must be 1 to 1048576"));
        }
    }
}
