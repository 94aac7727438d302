//! How much a device may carry.

use serde::{Deserialize, Serialize};

/// Limits for each second; none where there is no number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateSpec {
    /// Bytes.
    pub bytes: Option<u64>,
    /// Requests of a disk's driver, or frames.
    pub operations: Option<u64>,
}
