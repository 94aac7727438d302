//! The machine's balloon.

use serde::{Deserialize, Serialize};

/// A virtio memory balloon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BalloonSpec {
    /// Bytes that are to be in it at start, whole pages of 4 KiB.
    pub size: u64,
    /// Whether the guest takes memory out of it before it runs out of memory.
    pub deflate_on_oom: bool,
    /// Whether the guest gives memory that is free to the host, without being asked for any.
    pub free_page_reporting: bool,
    /// Seconds after which the guest says again how its memory is; `None` if it is not asked.
    pub statistics: Option<u32>,
}
