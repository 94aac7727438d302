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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a release of Linux, such as 6.12")]
pub struct NotARelease(String);

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

    /// Whether a block that is known to have a broken page cannot go online again (since 6.2), rather than forget
    /// about it.
    pub const fn keeps_broken_blocks_offline(self) -> bool {
        self.is_at_least(6, 2)
    }

    /// Whether virtio-mem's driver tries again to remove a block of which nothing is plugged and that could not be
    /// taken offline (since 6.6), rather than only when it looks for something to unplug.
    pub const fn retries_empty_blocks(self) -> bool {
        self.is_at_least(6, 6)
    }

    /// Whether an ACPI memory device stays attached when `_STA` still shows it after `_EJ0`, until it is ejected
    /// again (since 6.9).
    pub const fn keeps_device_until_status_clears(self) -> bool {
        self.is_at_least(6, 9)
    }

    /// Whether every block of an ACPI memory device can hold its own memmap, rather than only a device of
    /// one block (since 6.6).
    pub const fn memmap_on_every_block(self) -> bool {
        self.is_at_least(6, 6)
    }
}
