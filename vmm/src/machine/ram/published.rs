//! The map of guest memory that devices read.
//!
//! A device takes a view of the map for each request and drops it afterwards. A view that was taken
//! before a region went still shows the region, so the region's memory must not go before the view.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use dimmer_devices::memory::{GuestRange, HostError};
use dimmer_devices::memory_map::{MemoryMap, Region};
use dimmer_devices::written::Written;
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{GuestAddress, GuestAddressSpace, GuestMemoryAtomic, GuestMemoryBackend, GuestMemoryRegion};

/// How long a device may keep a view: requests take microseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_micros(50);

/// The map; see the module.
#[derive(Debug)]
pub struct Published {
    map: GuestMemoryAtomic<MemoryMap>,
    patience: Duration,
}

impl Published {
    /// An empty map.
    pub fn new() -> Self {
        Self { map: GuestMemoryAtomic::new(MemoryMap::new()), patience: PATIENCE }
    }

    /// The map, for devices.
    pub fn map(&self) -> &GuestMemoryAtomic<MemoryMap> {
        &self.map
    }

    /// From now on the map has `new` instead of the regions that start at `gone`; all are apart. What that takes does not
    /// grow with the map: a guest makes a region for every block of a large device.
    pub fn change(&self, gone: &[u64], new: impl IntoIterator<Item = Arc<Region>>) {
        let publish = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let map = self.map.memory().changed(gone, new);
        publish.replace(map.expect("regions are those of slots, which are apart"));
    }

    /// Returns once no device has a view of `gone` any more, which is not in the map.
    ///
    /// # Errors
    /// [`HostError`] when one keeps its view for longer than any request takes.
    pub fn wait_for_views(&self, gone: &mut [Arc<Region>]) -> Result<(), HostError> {
        let end = Instant::now() + self.patience;
        for region in gone {
            // Views share the region; nobody else does.
            while Arc::get_mut(region).is_none() {
                if Instant::now() >= end {
                    let (start, size) = (region.start_addr().0, region.len());
                    return Err(HostError(format!("a device keeps using {start:#x}, {size:#x} bytes long")));
                }
                std::thread::sleep(LOOK_AGAIN);
            }
        }
        Ok(())
    }

    /// What the map shows, ascending.
    pub fn ranges(&self) -> Vec<GuestRange> {
        let map = self.map.memory();
        map.iter().map(|region| GuestRange::new(region.start_addr().0, region.len())).collect()
    }
}

/// A region of the map for the host memory behind `range`; what is written there is marked in `written`.
///
/// # Errors
/// [`HostError`] when vm-memory does not take it.
///
/// # Safety
/// `range.size` bytes of address space from `host` on belong to guest memory for as long as devices
/// have a view of the region.
#[expect(unsafe_code, reason = "makes a vm-memory region out of a part of an area")]
pub unsafe fn region(range: GuestRange, host: *mut u8, written: Written) -> Result<Arc<Region>, HostError> {
    let size = usize::try_from(range.size).expect("mapped, so it fits");
    let builder = MmapRegionBuilder::new_with_bitmap(size, written)
        .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
        .with_mmap_flags(libc::MAP_NORESERVE);
    // SAFETY: the caller keeps the memory; a region from a raw pointer never unmaps it.
    let region = unsafe { builder.with_raw_mmap_pointer(host) }.build();
    let region = region.map_err(|error| HostError(format!("guest memory map: {error}")))?;
    let region = Region::new(region, GuestAddress(range.start));
    region.map(Arc::new).ok_or_else(|| HostError(format!("guest address {:#x} overflows", range.start)))
}

#[cfg(test)]
#[expect(unsafe_code, reason = "makes a region of a test's own memory")]
mod tests {
    use super::*;
    use vm_memory::Bytes;

    const START: u64 = 0x5000;

    /// A map of `count` regions, every other page from `START` on, whose memory lives as long as the test process.
    fn published(patience: Duration, count: u64) -> (Published, Vec<Arc<Region>>) {
        let published = Published { patience, ..Published::new() };
        let size = 0x1000;
        // SAFETY: a new anonymous mapping, placed by the kernel.
        let memory = unsafe {
            let prot = rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE;
            rustix::mm::mmap_anonymous(std::ptr::null_mut(), size, prot, rustix::mm::MapFlags::PRIVATE)
        };
        let memory: *mut u8 = memory.unwrap().cast();
        let place = |index: u64| GuestRange::new(START + 0x2000 * index, 0x1000);
        // SAFETY: the mapping, which all share, is never unmapped.
        let new = |index| unsafe { region(place(index), memory, Written::default()) }.unwrap();
        let regions: Vec<_> = (0..count).map(new).collect();
        published.change(&[], regions.iter().cloned());
        (published, regions)
    }

    #[test]
    fn a_region_is_waited_for_while_a_device_has_a_view() {
        let (published, mut gone) = published(PATIENCE, 1);
        let view = published.map().memory();
        published.change(&[START], []);
        assert_eq!(published.ranges(), []);
        let reader = std::thread::spawn(move || {
            view.write_obj(3_u32, GuestAddress(START)).unwrap();
            drop(view);
        });
        published.wait_for_views(&mut gone).unwrap();
        reader.join().unwrap();
    }

    #[test]
    fn a_view_that_is_never_dropped_is_an_error() {
        let (published, mut gone) = published(Duration::from_millis(1), 1);
        let view = published.map().memory();
        published.change(&[START], []);
        let error = published.wait_for_views(&mut gone).unwrap_err().to_string();
        assert_eq!(error, "a device keeps using 0x5000, 0x1000 bytes long");
        drop(view);
        published.wait_for_views(&mut gone).unwrap();
    }

    #[test]
    fn a_region_that_stays_is_not_waited_for() {
        let (published, mut regions) = published(Duration::from_millis(1), 1000);
        let mut gone = vec![regions.swap_remove(500)];
        published.change(&[gone[0].start_addr().0], []);
        let _view = published.map().memory();
        published.wait_for_views(&mut gone).unwrap();
        assert_eq!(published.ranges().len(), 999);
    }

    #[test]
    fn every_region_is_waited_for_wherever_it_is() {
        let (published, mut regions) = published(Duration::from_millis(1), 200);
        while let Some(region) = regions.pop() {
            let view = published.map().memory();
            published.change(&[region.start_addr().0], []);
            let mut gone = vec![region];
            published.wait_for_views(&mut gone).unwrap_err();
            drop(view);
            published.wait_for_views(&mut gone).unwrap();
        }
    }

    /// How many regions of a map of `count` the map before a change does not share with the one after it, at most.
    fn copied(count: u64) -> usize {
        let (published, regions) = published(PATIENCE, count);
        let shared = || regions.iter().map(Arc::strong_count).collect::<Vec<_>>();
        let before = shared();
        let changes = (0..count).step_by(97).map(|index| {
            let _view = published.map().memory();
            let region = regions[usize::try_from(index).unwrap()].clone();
            published.change(&[region.start_addr().0], [region.clone()]);
            shared().into_iter().zip(&before).filter(|(now, before)| now > *before).count()
        });
        changes.max().unwrap()
    }

    #[test]
    fn a_change_costs_little_more_in_a_large_map() {
        let (few, many) = (copied(100), copied(31_000));
        assert!(many <= 4 * few && many < 40, "{few} of 100, {many} of 31000");
    }
}
