//! Disks, persistent memory, network devices, the socket device and the balloon in cloud-hypervisor's shape.

use std::path::PathBuf;

use serde::Serialize;
use utoipa::ToSchema;

use crate::control::{BalloonStatus, PmemStatus};
use crate::spec::{DiskSpec, NetSpec, VsockSpec, WireSpec};

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DiskConfig {
    /// Its name.
    pub id: String,
    /// The file.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// Whether the guest can only read it.
    pub readonly: bool,
    /// Whether the host's page cache is passed by.
    pub direct: bool,
    /// The name that the guest sees.
    pub serial: String,
}

impl DiskConfig {
    pub(super) fn new(disk: &DiskSpec) -> Self {
        let DiskSpec { id, path, format: _, readonly, serial, direct, rate: _ } = disk.clone();
        Self { id, path, readonly, direct, serial }
    }
}

/// Persistent memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PmemConfig {
    /// Its name.
    pub id: String,
    /// The file.
    #[schema(value_type = String)]
    pub file: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Whether what the guest writes never reaches the file.
    pub discard_writes: bool,
}

impl PmemConfig {
    pub(super) fn new(pmem: &PmemStatus) -> Self {
        let PmemStatus { id, path, size, readonly, .. } = pmem.clone();
        Self { id, file: path, size, discard_writes: readonly }
    }
}

/// A network device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NetConfig {
    /// Its name.
    pub id: String,
    /// The TAP device of the host's, if it has one by name.
    pub tap: Option<String>,
    /// The descriptor of a TAP device that the VMM was started with.
    pub fds: Option<Vec<i32>>,
    /// The stream socket that frames go to.
    #[schema(value_type = Option<String>)]
    pub socket: Option<PathBuf>,
    /// Its address.
    pub mac: String,
    /// The largest payload of a frame, if the guest is told of one.
    pub mtu: Option<u16>,
}

impl NetConfig {
    pub(super) fn new(net: &NetSpec) -> Self {
        let (tap, fds, socket) = match &net.wire {
            WireSpec::Tap(name) => (Some(name.clone()), None, None),
            WireSpec::Fd(number) => (None, Some(vec![*number]), None),
            WireSpec::Socket(path) => (None, None, Some(path.clone())),
        };
        Self { id: net.id.clone(), tap, fds, socket, mac: net.mac.to_string(), mtu: net.mtu }
    }
}

/// The socket device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct VsockConfig {
    /// The guest's context ID.
    pub cid: u32,
    /// The socket for the host's programs.
    #[schema(value_type = String)]
    pub socket: PathBuf,
}

impl VsockConfig {
    pub(super) fn new(vsock: &VsockSpec) -> Self {
        Self { cid: vsock.cid, socket: vsock.path.clone() }
    }
}

/// The balloon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BalloonConfig {
    /// Bytes that are to be in it.
    pub size: u64,
    /// Whether the guest takes memory out of it before it runs out of memory.
    pub deflate_on_oom: bool,
    /// Whether the guest gives memory that is free to the host.
    pub free_page_reporting: bool,
}

impl BalloonConfig {
    pub(super) fn new(balloon: &BalloonStatus) -> Self {
        Self {
            size: balloon.target_size,
            deflate_on_oom: balloon.deflate_on_oom,
            free_page_reporting: balloon.free_page_reporting,
        }
    }
}
