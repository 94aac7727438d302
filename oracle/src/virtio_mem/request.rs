//! What drivers of virtio-mem devices ask for.

use std::fmt;
use std::ops::Range;

/// What the driver asks the device for, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
pub enum Request {
    /// To plug these.
    Plug(Range<u64>),
    /// To unplug these.
    Unplug(Range<u64>),
    /// To unplug everything, which a driver asks for that finds memory plugged.
    UnplugAll,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plug(range) => write!(f, "plug {:#x}+{}M", range.start, (range.end - range.start) >> 20),
            Self::Unplug(range) => {
                write!(f, "unplug {:#x}+{}M", range.start, (range.end - range.start) >> 20)
            }
            Self::UnplugAll => f.write_str("unplug all"),
        }
    }
}
