//! Why memory of a device is not there, in words on which a person can act.

use std::fmt;
use std::ops::Range;

use crate::cost::Shortage;
use crate::linux::Linux;
use crate::rule::Rule;
use crate::words;

/// Memory of an ACPI memory device that Linux did not add. It reports the device as taken all the same
/// (drivers/acpi/acpi_memhotplug.c, `acpi_memory_enable_device`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAdded {
    /// The addresses, in bytes.
    pub range: Range<u64>,
    /// Why not.
    pub reason: Reason,
}

/// Why Linux does not add memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It does not begin with a memory block of so many bytes (mm/memory_hotplug.c, `check_hotplug_memory_range`).
    Start(u64),
    /// It does not end with one (the same).
    Size(u64),
    /// The release can put the memmap of one block on itself, asks for it here as well, and then refuses
    /// (mm/memory_hotplug.c, `mhp_supports_memmap_on_memory`, before 6.6).
    Memmap,
    /// Something is there.
    Exists,
    /// `mem=` keeps all behind so many bytes away while Linux boots (mm/memory_hotplug.c, `register_memory_resource`).
    Limit(u64),
    /// KASLR leaves no addresses from here on (mm/memory_hotplug.c, `mhp_range_allowed`: `E2BIG`).
    Reach(u64),
    /// There is no kernel memory to describe it (mm/sparse-vmemmap.c, `vmemmap_populate`: `ENOMEM`).
    Memory(Shortage),
}

impl Reason {
    /// The rule behind it.
    pub(crate) const fn rule(&self) -> Rule {
        match self {
            Self::Start(_) => Rule::WrongStart,
            Self::Size(_) => Rule::WrongSize,
            Self::Memmap => Rule::MemmapRefused,
            Self::Exists => Rule::Exists,
            Self::Limit(_) => Rule::BehindTheLimit,
            Self::Reach(_) => Rule::BehindKaslr,
            Self::Memory(_) => Rule::MemmapIsNotPaid,
        }
    }
}

impl fmt::Display for NotAdded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.range;
        let length = end - start;
        match self.reason {
            Reason::Start(block) => {
                let (below, above) = around(start, block);
                write!(
                    f,
                    "it starts at {}, and this guest's memory blocks of {} start at multiples of that: the nearest are \
                     {} and {}",
                    size(start),
                    size(block),
                    size(below),
                    size(above)
                )
            }
            Reason::Size(block) => {
                let (below, above) = around(length, block);
                let nearest = if below == 0 { size(above) } else { format!("{} or {}", size(below), size(above)) };
                write!(f, "its size of {} is no multiple of this guest's memory blocks of {}", size(length), size(block))?;
                write!(f, ": the nearest that works is {nearest}")
            }
            Reason::Memmap => f.write_str(
                "with memmap_on_memory, this release takes no range of several blocks behind one of a single block",
            ),
            Reason::Exists => f.write_str("Linux has memory there already"),
            Reason::Limit(end) => write!(
                f,
                "mem={} keeps what lies behind away while Linux boots; it comes when the device is plugged later",
                size(end)
            ),
            Reason::Reach(end) => write!(f, "KASLR leaves no addresses from {} on; nokaslr does", size(end)),
            Reason::Memory(shortage) => shortage.fmt(f),
        }
    }
}

impl Linux {
    /// Why block `index` shows what it shows; where it is absent, what keeps it away, as far as a device could have it.
    pub fn why(&self, index: u64) -> String {
        self.why_absent(index).unwrap_or_else(|| words::why(&self.memory, index))
    }

    /// What keeps block `index` away, where it is absent and a device could have it.
    pub fn why_absent(&self, index: u64) -> Option<String> {
        if self.memory.blocks().contains_key(&index) {
            return None;
        }
        let size = self.memory.block_size();
        let bytes = index * size..(index + 1).saturating_mul(size);
        if let Some((id, not_added)) = self.not_added_in(&bytes) {
            return Some(format!("it lies in DIMM {id}: {not_added}"));
        }
        if let Some((id, device)) = self.dax.iter().find(|(_, device)| meet(&device.range, &bytes)) {
            return Some(format!("it lies in {id}: {}", device.why_absent(index, size)));
        }
        let (id, device) = self.virtio_mem.iter().find(|(_, device)| meet(&device.spec.region, &bytes))?;
        Some(format!("it lies in the region of {id}: {}", device.why_not_more(self)))
    }

    /// Why the virtio-mem device `id` has no more memory than it has, if there is such a device.
    pub fn why_not_more(&self, id: &str) -> Option<String> {
        self.virtio_mem.get(id).map(|device| device.why_not_more(self))
    }

    /// The memory of an ACPI memory device in these bytes that could not be added, with the device's name.
    fn not_added_in(&self, bytes: &Range<u64>) -> Option<(&str, &NotAdded)> {
        let all = self.not_added.iter().flat_map(|(id, all)| all.iter().map(move |one| (id.as_str(), one)));
        all.into_iter().find(|(_, one)| meet(&one.range, bytes))
    }
}

fn meet(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

/// The multiples of `step` next to `value`, which is none.
const fn around(value: u64, step: u64) -> (u64, u64) {
    let below = value - value % step;
    (below, below.saturating_add(step))
}

/// Bytes as a person writes them: `128M`, `5632M`, `2G`.
pub(crate) fn size(bytes: u64) -> String {
    let units = [("T", 40), ("G", 30), ("M", 20), ("K", 10)];
    let unit = units.into_iter().find(|(_, shift)| bytes != 0 && bytes.is_multiple_of(1 << shift));
    unit.map_or_else(|| bytes.to_string(), |(unit, shift)| format!("{}{unit}", bytes >> shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        let said = |range, reason| NotAdded { range, reason }.to_string();
        let start = said(5632 * MIB..6 * GIB, Reason::Start(2 * GIB));
        assert!(start.contains("starts at 5632M") && start.ends_with("the nearest are 4G and 6G"), "{start}");
        let small = said(64 * GIB..64 * GIB + 256 * MIB, Reason::Size(2 * GIB));
        assert!(small.contains("size of 256M") && small.ends_with("the nearest that works is 2G"), "{small}");
        let odd = said(0..3 * GIB, Reason::Size(2 * GIB));
        assert!(odd.ends_with("the nearest that works is 2G or 4G"), "{odd}");
    }
}
