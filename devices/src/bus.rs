//! Address space of devices: I/O ports or physical addresses to the device that answers there.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Something with registers.
///
/// A guest may access anything in any width: a device answers what its specification says, and
/// otherwise reads zeroes and ignores writes. It never fails and never panics.
pub trait BusDevice: Send {
    /// Reads `data.len()` bytes at `offset` from the start of the device's range.
    fn read(&mut self, offset: u64, data: &mut [u8]);
    /// Writes `data` at `offset` from the start of the device's range.
    fn write(&mut self, offset: u64, data: &[u8]);
}

/// A device that several threads share.
pub type SharedDevice = Arc<Mutex<dyn BusDevice>>;

/// Two devices were put at the same place, or a device at none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} at {start:#x}, {size:#x} bytes long, is empty, overflows, or overlaps another device")]
pub struct Overlap {
    name: &'static str,
    start: u64,
    size: u64,
}

struct Entry {
    name: &'static str,
    size: u64,
    device: SharedDevice,
}

/// Devices by their first address.
#[derive(Default)]
pub struct Bus {
    entries: BTreeMap<u64, Entry>,
}

impl Bus {
    /// Puts `device` at `[start, start + size)`.
    ///
    /// # Errors
    /// [`Overlap`] when the range is empty, overflows, or is not free.
    pub fn insert(
        &mut self,
        name: &'static str,
        start: u64,
        size: u64,
        device: SharedDevice,
    ) -> Result<(), Overlap> {
        let overlap = Overlap { name, start, size };
        let end = start.checked_add(size).filter(|end| *end > start).ok_or(overlap.clone())?;
        let before = self.entries.range(..end).next_back();
        if before.is_some_and(|(other, entry)| other + entry.size > start) {
            return Err(overlap);
        }
        self.entries.insert(start, Entry { name, size, device });
        Ok(())
    }

    /// Reads from the device at `address`; where there is none, all ones, as on a real bus. Returns
    /// whether there is one.
    pub fn read(&self, address: u64, data: &mut [u8]) -> bool {
        match self.find(address) {
            Some((offset, device)) => lock(device).read(offset, data),
            None => {
                data.fill(0xff);
                return false;
            }
        }
        true
    }

    /// Writes to the device at `address`; where there is none, nothing happens. Returns whether there
    /// is one.
    pub fn write(&self, address: u64, data: &[u8]) -> bool {
        let Some((offset, device)) = self.find(address) else { return false };
        lock(device).write(offset, data);
        true
    }

    fn find(&self, address: u64) -> Option<(u64, &SharedDevice)> {
        let (start, entry) = self.entries.range(..=address).next_back()?;
        let offset = address - start;
        (offset < entry.size).then_some((offset, &entry.device))
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.entries.iter().map(|(start, e)| (e.name, (start, e.size)))).finish()
    }
}

/// Locks a device. A thread that panicked while it held the lock does not take the device away
/// from the others.
pub fn lock<T: ?Sized>(device: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Recorder(Vec<(u64, Vec<u8>)>);

    impl BusDevice for Recorder {
        fn read(&mut self, offset: u64, data: &mut [u8]) {
            data.fill(offset.to_le_bytes()[0]);
        }
        fn write(&mut self, offset: u64, data: &[u8]) {
            self.0.push((offset, data.to_vec()));
        }
    }

    fn device() -> Arc<Mutex<Recorder>> {
        Arc::default()
    }

    #[test]
    fn an_access_reaches_the_device_with_its_offset() {
        let mut bus = Bus::default();
        let recorder = device();
        bus.insert("a", 0x10, 0x10, recorder.clone()).unwrap();
        assert!(bus.write(0x13, &[7]));
        let mut data = [0; 2];
        assert!(bus.read(0x1f, &mut data));
        assert_eq!(lock(&recorder).0, [(3, vec![7])]);
        assert_eq!(data, [0xf, 0xf]);
    }

    #[test]
    fn an_access_outside_every_device_reads_all_ones() {
        let mut bus = Bus::default();
        bus.insert("a", 0x10, 0x10, device()).unwrap();
        for address in [0, 0xf, 0x20, u64::MAX] {
            let mut data = [0; 4];
            assert!(!bus.read(address, &mut data));
            assert!(!bus.write(address, &data));
            assert_eq!(data, [0xff; 4]);
        }
    }

    #[test]
    fn overlapping_empty_and_overflowing_ranges_are_errors() {
        let mut bus = Bus::default();
        bus.insert("a", 0x10, 0x10, device()).unwrap();
        for (start, size) in [(0x1f, 1), (0, 0x11), (0x10, 0x10), (0x30, 0), (u64::MAX, 2)] {
            assert!(bus.insert("b", start, size, device()).is_err(), "{start:#x} {size:#x}");
        }
        bus.insert("b", 0x20, 1, device()).unwrap();
        bus.insert("c", 0, 0x10, device()).unwrap();
    }
}
