//! What is said of devices that are no memory devices.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::spec::DiskFormat;

/// A disk; counts are since the machine's process began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskStatus {
    /// Its name.
    pub id: String,
    /// The file.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// How the file is read.
    pub format: DiskFormat,
    /// Whether the guest can only read it.
    pub readonly: bool,
    /// Bytes, whole sectors of 512.
    pub size: u64,
    /// Reads, writes and flushes that the guest asked for.
    pub reads: u64,
    /// See `reads`.
    pub writes: u64,
    /// See `reads`.
    pub flushes: u64,
    /// Bytes that were read.
    pub read_bytes: u64,
    /// Bytes that were written.
    pub written_bytes: u64,
    /// Requests that the host could not do.
    pub errors: u64,
}

/// Persistent memory; counts are since the machine's process began, but for writes that were dropped, which go on with a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PmemStatus {
    /// Its name.
    pub id: String,
    /// The file.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// Whether the guest can only read it.
    pub readonly: bool,
    /// Its first guest-physical address.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// Flushes that the guest asked for.
    pub flushes: u64,
    /// Flushes that the host could not do.
    pub errors: u64,
    /// Accesses by which the guest wrote what it can only read, each of a few bytes.
    pub dropped_writes: u64,
}

/// A network device; counts are of frames since the machine's process began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NetStatus {
    /// Its name.
    pub id: String,
    /// Its address.
    pub mac: String,
    /// Frames that the guest sent.
    pub sent: u64,
    /// Frames that the guest has taken.
    pub received: u64,
    /// Frames that came while no driver ran or that did not fit, and those that were sent while the link was down.
    pub dropped: u64,
}

/// The socket device; counts are since the machine's process began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VsockStatus {
    /// The guest's context ID.
    pub cid: u32,
    /// The socket for the host's programs.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// Connections at present.
    pub connections: usize,
    /// Bytes that the guest sent.
    pub sent_bytes: u64,
    /// Bytes that the guest has taken.
    pub received_bytes: u64,
}

/// The balloon. Sizes are bytes, and counts are since the machine's process began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BalloonStatus {
    /// What is to be in it.
    pub target_size: u64,
    /// What is in it, as the guest says.
    pub actual_size: u64,
    /// Whether the guest takes memory out of it before it runs out of memory.
    pub deflate_on_oom: bool,
    /// Whether the guest gives memory that is free to the host.
    pub free_page_reporting: bool,
    /// Bytes that were given back to the host because they went into the balloon.
    pub given_back: u64,
    /// Bytes that were given back to the host because they were free.
    pub reported: u64,
    /// Seconds after which the guest says again how its memory is, if it is asked.
    pub statistics_interval: Option<u32>,
    /// What the guest said last of its memory, by name: `free_memory`, `available_memory`, `total_memory` and `disk_caches` in
    /// bytes, `major_faults`, `swap_in` and others as counts.
    pub statistics: BTreeMap<String, u64>,
}
