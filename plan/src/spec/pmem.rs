//! Persistent memory of the machine's.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One device with persistent memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PmemSpec {
    /// Its name.
    pub id: String,
    /// The file with what is in it, or a block device of the host's.
    pub path: PathBuf,
    /// Bytes, to which a file that is shorter is made longer; those of the file when `None`.
    pub size: Option<u64>,
    /// Whether the guest can only read it.
    pub readonly: bool,
}
