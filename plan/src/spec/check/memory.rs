//! Whether boot RAM and its backing make sense.

use crate::placement::SMALLEST_BLOCK;

use super::{BadValue, MAX_ADDRESS, PAGE};
use crate::layout::HIGH_RAM_START;
use crate::spec::{Backing, MemorySpec};
use crate::units::{Bytes, GIB, MIB};

/// Least boot RAM that a kernel and its initial RAM file system fit into.
const MIN_RAM: u64 = 64 * MIB;
/// Most RAM below 4 GiB: device registers follow.
const MAX_LOW: u64 = 3 * GIB;
/// The sizes of huge pages that x86-64 has.
const HUGE_PAGES: [u64; 2] = [2 * MIB, GIB];

impl Backing {
    /// Memory comes in multiples of this many bytes.
    pub const fn page_size(&self) -> u64 {
        match self {
            Self::Hugetlb(size) => *size,
            Self::Anon | Self::Memfd | Self::File(_) => PAGE,
        }
    }
}

impl MemorySpec {
    pub(super) fn check(&self) -> Result<(), BadValue> {
        self.check_backing()?;
        self.check_size()?;
        self.check_low()?;
        self.check_high()
    }

    /// First address behind boot RAM.
    pub(super) fn end(&self) -> u128 {
        match self.size.checked_sub(self.low) {
            Some(above) if above > 0 => u128::from(self.high) + u128::from(above),
            _ => u128::from(self.size),
        }
    }

    fn check_backing(&self) -> Result<(), BadValue> {
        match &self.backing {
            Backing::Hugetlb(page) if !HUGE_PAGES.contains(page) => {
                Err(BadValue::new("page", Bytes(*page), "must be 2M or 1G"))
            }
            Backing::File(path) if path.as_os_str().is_empty() => {
                Err(BadValue::new("path", "", "must name a file, or a directory for an unnamed file"))
            }
            _ => Ok(()),
        }
    }

    fn check_size(&self) -> Result<(), BadValue> {
        let page = self.backing.page_size();
        if self.size < MIN_RAM || !self.size.is_multiple_of(page) {
            let rule = format!("must be a multiple of {}, at least {}", Bytes(page), Bytes(MIN_RAM));
            return Err(BadValue::new("size", Bytes(self.size), rule));
        }
        if self.end() > MAX_ADDRESS {
            return Err(BadValue::new("size", Bytes(self.size), "boot RAM must end within 4096 TiB"));
        }
        Ok(())
    }

    fn check_low(&self) -> Result<(), BadValue> {
        let page = self.backing.page_size();
        if (MIN_RAM..=MAX_LOW).contains(&self.low) && self.low.is_multiple_of(page) {
            return Ok(());
        }
        let rule =
            format!("must be a multiple of {}, from {} to {}", Bytes(page), Bytes(MIN_RAM), Bytes(MAX_LOW));
        Err(BadValue::new("low", Bytes(self.low), rule))
    }

    fn check_high(&self) -> Result<(), BadValue> {
        let page = self.backing.page_size().max(SMALLEST_BLOCK);
        if self.high < HIGH_RAM_START || !self.high.is_multiple_of(page) {
            let rule = format!("must be a multiple of {}, at least {}", Bytes(page), Bytes(HIGH_RAM_START));
            return Err(BadValue::new("high", Bytes(self.high), rule));
        }
        if self.high != HIGH_RAM_START && self.size <= self.low {
            let rule = format!("no RAM is left to be there: size={} is all low", Bytes(self.size));
            return Err(BadValue::new("high", Bytes(self.high), rule));
        }
        Ok(())
    }
}
