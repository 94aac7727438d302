//! What a memory device is to those who look at it: its addresses, its state, and what its driver asked for.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A range of guest-physical addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub struct GuestRange {
    /// First address.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
}

impl GuestRange {
    /// The range `[start, start + size)`; the caller has checked that the end does not overflow.
    pub const fn new(start: u64, size: u64) -> Self {
        Self { start, size }
    }

    /// First address behind the range.
    pub const fn end(&self) -> u64 {
        self.start + self.size
    }

    /// Whether `other` lies wholly inside this range.
    pub const fn contains(&self, other: &GuestRange) -> bool {
        self.start <= other.start && other.end() <= self.end()
    }

    /// Whether the two ranges share an address.
    pub const fn overlaps(&self, other: &GuestRange) -> bool {
        self.start < other.end() && other.start < self.end()
    }
}

/// The two kinds of memory device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An ACPI memory device, plugged and ejected as a whole.
    Dimm,
    /// A virtio-mem device, resized in device blocks.
    VirtioMem,
}

/// What a memory device is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing is plugged and nothing is under way.
    Idle,
    /// The guest was asked to take memory and has not finished.
    Plugging,
    /// Memory is plugged and nothing is under way.
    Plugged,
    /// The guest was asked to let memory go and has not finished.
    Unplugging,
}

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All of it happened.
    Done,
    /// A part of it happened.
    Partial,
    /// Nothing of it happened.
    Refused,
}

/// The end of the latest change and, unless it is simply done, why it ended so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Last {
    /// How the change ended.
    pub outcome: Outcome,
    /// Why, in words.
    pub reason: Option<String>,
}

impl Last {
    /// The whole change happened.
    pub const fn done() -> Self {
        Self { outcome: Outcome::Done, reason: None }
    }

    /// Nothing of the change happened, for this reason.
    pub fn refused(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Refused, reason: Some(reason.into()) }
    }

    /// A part of the change happened, and this is why no more of it did.
    pub fn partial(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Partial, reason: Some(reason.into()) }
    }
}

/// What can be said of a memory device from outside; the body of `GET /memory-devices/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemoryStatus {
    /// The device's name.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// Its proximity domain.
    pub node: u32,
    /// A DIMM's ranges, or a virtio-mem device's region.
    pub ranges: Vec<GuestRange>,
    /// A DIMM's slot.
    pub slot: Option<u16>,
    /// A virtio-mem device's block size in bytes; the whole size for a DIMM.
    pub block_size: u64,
    /// Bytes that could be plugged at present.
    pub usable_size: u64,
    /// Bytes that the guest was asked to have plugged.
    pub requested_size: u64,
    /// Bytes that are plugged.
    pub plugged_size: u64,
    /// What the device is doing.
    pub state: State,
    /// How the latest change ended; nothing before the first one ended.
    pub last: Option<Last>,
    /// The DIMM whose ejection the guest works on, while this one's change waits for that: Linux
    /// handles notifications one after the other.
    pub waits_for: Option<String>,
}

/// One request of the driver, and what it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestRecord {
    /// 1 for the device's first request, without gaps.
    pub number: u64,
    /// `plug`, `unplug`, `unplug-all`, `state`, or `malformed`.
    pub request: String,
    /// The range that it is about, cut where addresses end; nothing for `unplug-all` and `malformed`.
    pub range: Option<GuestRange>,
    /// `ack`, `nack`, `busy` or `error`; for a `state` request `plugged`, `unplugged` or `mixed`.
    /// `none` for a request that was not carried out, because the driver left no room for the
    /// response or reset the device while the request was held back.
    pub response: String,
}
