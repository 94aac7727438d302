//! Holding on to a page of a given memory block, so that the kernel cannot move it: offlining its
//! block then waits for as long as the page is held.
//!
//! A page is ours to choose only by asking for memory until some of it lies where it should
//! (/proc/self/pagemap says where that is). A pipe that a page was spliced into without a copy
//! (vmsplice(2)) keeps a reference to it and does not count as its user, so the page can neither be
//! migrated nor does the kernel avoid its block when it is allocated.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::mm::Advice;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::blocks::BlockList;
use crate::mapping::Mapping;
use crate::protocol::{Failure, Pinned};
use crate::tree::Tree;

/// Memory is asked for in pieces of this size: one huge page, where the kernel gives one.
const PIECE: usize = 2 << 20;
/// Memory that is left alone in the search, in KiB, so that nothing else runs out of it.
const SPARED_KB: u64 = 64 << 10;
/// Bytes of an entry of the pagemap: bit 63 says that the page is present, bits 0 to 54 which it is
/// (Documentation/admin-guide/mm/pagemap.rst).
const ENTRY: usize = 8;
const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;

/// The pages that are held.
#[derive(Debug, Default)]
pub struct Pins(Mutex<Vec<Pin>>);

#[derive(Debug)]
struct Pin {
    address: u64,
    /// Both ends: without a reader the pipe would be gone.
    _pipe: (OwnedFd, OwnedFd),
}

impl Pins {
    /// Takes a page of one of `blocks` and holds it until it is [released](Self::release).
    ///
    /// # Errors
    /// When none of the memory that is free lies there.
    pub fn hold(&self, tree: &Tree, blocks: &BlockList) -> Result<Pinned, Failure> {
        let block_size = tree.block_size().map_err(|error| Failure::new(error.to_string()))?;
        let meminfo =
            tree.read("proc/meminfo").map_err(|error| Failure::from_io("read /proc/meminfo", &error))?;
        let free = crate::tree::kilobytes(&meminfo, "MemAvailable").unwrap_or_default();
        let size = usize::try_from(free.saturating_sub(SPARED_KB) << 10).unwrap_or(usize::MAX);
        let wanted = |address: u64| blocks.iter().any(|block| block == address / block_size);
        let pin = File::open("/proc/self/pagemap").and_then(|pagemap| {
            let locate = |address, pages| located(&pagemap, address, pages);
            search(size / PIECE * PIECE, &locate, &wanted)
        });
        let Some(pin) = pin.map_err(|error| Failure::from_io("hold a page", &error))? else {
            let text = format!("None of {} MiB of free memory was in the blocks {blocks}", size >> 20);
            return Err(Failure::new(text));
        };
        let pinned = Pinned { address: pin.address, block: pin.address / block_size };
        self.all().push(pin);
        Ok(pinned)
    }

    /// Lets the page at `address` go.
    ///
    /// # Errors
    /// When it is not held.
    pub fn release(&self, address: u64) -> Result<(), Failure> {
        let mut all = self.all();
        let held = all.iter().position(|pin| pin.address == address);
        match held {
            Some(index) => drop(all.swap_remove(index)),
            None => return Err(Failure::new(format!("No page at {address:#x} is held"))),
        }
        Ok(())
    }

    fn all(&self) -> MutexGuard<'_, Vec<Pin>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the physical addresses of a number of pages from an address of this process on; `None` for
/// a page that is not in memory.
type Locate<'a> = &'a dyn Fn(u64, usize) -> io::Result<Vec<Option<u64>>>;

/// Asks for up to `size` bytes of memory, a multiple of [`PIECE`], until a page of it is wanted.
fn search(size: usize, locate: Locate<'_>, wanted: &dyn Fn(u64) -> bool) -> io::Result<Option<Pin>> {
    if size == 0 {
        return Ok(None);
    }
    let memory = Mapping::anonymous(size + PIECE)?;
    // Huge pages are aligned in this process's addresses, too.
    let start = memory.address();
    let first =
        usize::try_from(start.next_multiple_of(PIECE as u64) - start).expect("it is less than a piece");
    memory.advise(first, size, Advice::LinuxHugepage);
    let page = rustix::param::page_size();
    for piece in (first..first + size).step_by(PIECE) {
        (piece..piece + PIECE).step_by(page).for_each(|offset| memory.write_u8(offset, 1));
        let found = locate(start + piece as u64, PIECE / page)?;
        for (index, _) in found.iter().enumerate().filter(|(_, address)| address.is_some_and(wanted)) {
            if let Some(pin) = take(&memory, piece + index * page, locate, wanted)? {
                return Ok(Some(pin));
            }
        }
    }
    Ok(None)
}

/// Takes the page at `offset` unless it has just moved to where nobody wants it.
fn take(
    memory: &Mapping,
    offset: usize,
    locate: Locate<'_>,
    wanted: &dyn Fn(u64) -> bool,
) -> io::Result<Option<Pin>> {
    let page = rustix::param::page_size();
    // Advice about a part of a huge page splits it, so that this page is held alone.
    memory.advise(offset, page, Advice::LinuxCold);
    let pipe = pipe_with(PipeFlags::CLOEXEC)?;
    let held = memory.splice(offset, page, pipe.1.as_fd())?;
    if held != page {
        return Err(io::Error::other(format!("the pipe took {held} of {page} bytes")));
    }
    let address = locate(memory.address() + offset as u64, 1)?.into_iter().flatten().next();
    Ok(address.filter(|address| wanted(*address)).map(|address| Pin { address, _pipe: pipe }))
}

/// [`Locate`], from the pagemap of this process.
fn located(pagemap: &File, address: u64, pages: usize) -> io::Result<Vec<Option<u64>>> {
    let mut entries = vec![0; pages * ENTRY];
    pagemap.read_exact_at(&mut entries, address / rustix::param::page_size() as u64 * ENTRY as u64)?;
    let (entries, _) = entries.as_chunks();
    Ok(entries.iter().map(|entry| frame_address(u64::from_ne_bytes(*entry))).collect())
}

/// The physical address in an entry of the pagemap.
fn frame_address(entry: u64) -> Option<u64> {
    let frame = entry & FRAME;
    // Without CAP_SYS_ADMIN the kernel shows frame 0, which is nobody's.
    (entry & PRESENT != 0 && frame != 0).then(|| frame * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// A kernel that gives out physical memory from 16 MiB on, in the order it is asked for.
    fn from_16m(address: u64, pages: usize, start: &Cell<u64>) -> Vec<Option<u64>> {
        if start.get() == 0 {
            start.set(address);
        }
        let page = rustix::param::page_size() as u64;
        (0..pages as u64).map(|index| Some((16 << 20) + address - start.get() + index * page)).collect()
    }

    #[test]
    fn the_first_page_that_is_wanted_is_held_until_it_is_released() {
        let start = Cell::new(0);
        let locate = |address, pages| Ok(from_16m(address, pages, &start));
        let wanted = |address: u64| (0x130_3000..0x130_9000).contains(&address);
        assert!(search(PIECE, &locate, &wanted).unwrap().is_none(), "the first 2 MiB end at 18 MiB");
        start.set(0);
        let pin = search(4 * PIECE, &locate, &wanted).unwrap().unwrap();
        assert_eq!(pin.address, 0x130_3000);

        let pins = Pins(Mutex::new(vec![pin]));
        assert_eq!(pins.release(0x130_4000).unwrap_err().text, "No page at 0x1304000 is held");
        pins.release(0x130_3000).unwrap();
        assert!(pins.release(0x130_3000).is_err(), "it is not held any more");
    }

    #[test]
    fn a_page_that_moves_before_it_is_held_is_not_taken() {
        let start = Cell::new(0);
        // Looked at alone, which happens once it is held, a page is elsewhere.
        let locate = |address, pages| match pages {
            1 => Ok(vec![Some(0)]),
            _ => Ok(from_16m(address, pages, &start)),
        };
        let wanted = |address: u64| address == 0x110_0000;
        assert!(search(2 * PIECE, &locate, &wanted).unwrap().is_none());
    }

    #[test]
    fn entries_are_frames_only_of_pages_in_memory() {
        assert_eq!(frame_address(PRESENT | 1 << 55 | 0x1234), Some(0x123_4000));
        assert_eq!(frame_address(1 << 62 | 0x1234), None, "a page in swap");
        assert_eq!(frame_address(PRESENT), None, "a frame that is not shown");
    }

    #[test]
    fn blocks_without_free_memory_are_named() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("proc/meminfo", "MemTotal: 9000000 kB\nMemAvailable:   69632 kB\n");
        put("sys/devices/system/memory/block_size_bytes", "8000000\n");
        // No machine has memory there.
        let failure = Pins::default().hold(&Tree::new(root.path()), &BlockList::one(1 << 40)).unwrap_err();
        assert_eq!(failure.text, "None of 4 MiB of free memory was in the blocks 1099511627776");
    }
}
