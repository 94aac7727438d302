//! A disk of the machine's.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::RateSpec;

/// Bytes of the name that a driver can ask for.
pub const SERIAL: usize = 20;

/// One disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskSpec {
    /// Its name.
    pub id: String,
    /// The file with what is on it, or a block device of the host's.
    pub path: PathBuf,
    /// How the file is to be read.
    pub format: DiskFormat,
    /// Whether the guest can only read it.
    pub readonly: bool,
    /// The name that the guest sees, 20 bytes at most.
    pub serial: String,
    /// Whether the host's page cache is passed by.
    pub direct: bool,
    /// How much it may carry.
    #[serde(default)]
    pub rate: RateSpec,
}

/// How a disk is in its file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DiskFormat {
    /// Byte for byte.
    #[default]
    Raw,
    /// As QEMU's copy-on-write images, version 2 and 3, with the files that they name.
    Qcow2,
}
