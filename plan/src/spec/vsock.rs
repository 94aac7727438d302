//! The machine's socket device.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A virtio socket device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VsockSpec {
    /// The guest's context ID, from 3 on.
    pub cid: u32,
    /// The UNIX socket that clients of the host's come to; sockets of the same name with `_PORT` behind it are what the guest
    /// connects to.
    pub path: PathBuf,
}
