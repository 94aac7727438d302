//! Where Linux releases differ. Every difference that the model knows is named here.

use std::fmt;
use std::str::FromStr;

/// A release of Linux, such as 6.12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    major: u32,
    minor: u32,
}

/// The text is no release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotARelease(String);

impl fmt::Display for NotARelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a release of Linux, such as 6.12", self.0)
    }
}

impl std::error::Error for NotARelease {}

impl FromStr for Release {
    type Err = NotARelease;

    /// Reads `6.12`, and what `uname -r` says.
    fn from_str(text: &str) -> Result<Self, NotARelease> {
        let number = |part: Option<&str>| {
            let digits: String = part?.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        };
        let mut parts = text.split('.');
        let (major, minor) = (number(parts.next()), number(parts.next()));
        major
            .zip(minor)
            .map(|(major, minor)| Self { major, minor })
            .ok_or_else(|| NotARelease(text.to_owned()))
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Release {
    /// The first release that the model knows.
    pub const FIRST: Self = Self::new(5, 10);

    /// A release.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    const fn is_at_least(self, major: u32, minor: u32) -> bool {
        self.major > major || (self.major == major && self.minor >= minor)
    }

    /// Whether there are memory groups and the policy auto-movable (both since 5.15).
    pub const fn has_groups(self) -> bool {
        self.is_at_least(5, 15)
    }

    /// Whether an ACPI memory device stays attached when `_STA` still shows it after `_EJ0`, until it is ejected
    /// again (since 6.9).
    pub const fn keeps_device_until_status_clears(self) -> bool {
        self.is_at_least(6, 9)
    }

    /// Whether ACPI memory devices can hold their own memmap (`memmap_on_memory`, since 5.13).
    pub const fn has_memmap_on_memory(self) -> bool {
        self.is_at_least(5, 13)
    }

    /// Whether every block of an ACPI memory device can hold its own memmap, rather than only a device of
    /// one block (since 6.6).
    pub const fn has_memmap_on_every_block(self) -> bool {
        self.is_at_least(6, 6)
    }

    /// Whether it can be said of a dax device that its memory is to hold its own memmap (its file `memmap_on_memory`,
    /// since 6.9).
    pub const fn has_memmap_on_memory_of_dax(self) -> bool {
        self.is_at_least(6, 9)
    }

    /// Whether `memmap_on_memory` takes the word `force` (since 6.6); before, that is no value, and it stays off.
    pub const fn can_force_memmap_on_memory(self) -> bool {
        self.is_at_least(6, 6)
    }

    /// Whether a block with a poisoned page refuses to go online (since 6.2); before, Linux forgets the page then.
    pub const fn refuses_poisoned_blocks(self) -> bool {
        self.is_at_least(6, 2)
    }

    /// Whether the virtio-mem driver takes devices whose blocks are larger than memory blocks, and limits offline
    /// memory by its size (since 5.11). Before, it adds blocks while fewer than ten are offline, and runs whenever
    /// one goes offline.
    pub const fn has_big_blocks(self) -> bool {
        self.is_at_least(5, 11)
    }

    /// Whether page structures of a subsection without RAM are known as such (since 5.12); before, all of a section that has
    /// some RAM count as online.
    pub const fn knows_holes_in_sections(self) -> bool {
        self.is_at_least(5, 12)
    }

    /// Whether a boot block remembers its zone from boot on (since 5.18); before, Linux looks at a page in every 4 MiB, and
    /// shows none when a hole is of another zone or outside of it.
    pub const fn remembers_zones_of_blocks(self) -> bool {
        self.is_at_least(5, 18)
    }

    /// Whether the virtio-mem driver promises to leave unplugged memory alone (`VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE`,
    /// since 5.17). A device may take no driver that does not.
    pub const fn leaves_unplugged_memory_alone(self) -> bool {
        self.is_at_least(5, 17)
    }

    /// Whether the virtio-mem driver tells movable blocks from others: plugs these first and unplugs them last
    /// (since 5.14).
    pub const fn prefers_to_unplug_movable(self) -> bool {
        self.is_at_least(5, 14)
    }

    /// Bytes of the least part of a memory block that virtio-mem can plug and unplug: a pageblock since 5.19,
    /// before that the largest piece that the page allocator has.
    pub const fn least_sub_block(self) -> u64 {
        if self.is_at_least(5, 19) { 2 << 20 } else { 4 << 20 }
    }

    /// Whether the virtio-mem driver remembers blocks of which nothing is plugged but which could not be taken
    /// offline, and tries again at the next occasion (since 6.6).
    pub const fn retries_unplugged_blocks(self) -> bool {
        self.is_at_least(6, 6)
    }
}
