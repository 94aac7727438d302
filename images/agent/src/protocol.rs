//! What goes over the agent's port: one JSON object per line, requests in, responses out.
//!
//! ```text
//! → {"id":"7","do":"offline","blocks":"48-49"}
//! ← {"id":"7","ok":[{"index":48},{"index":49,"error":"EBUSY","errno":16}]}
//! ```
//!
//! Responses may come in any order; `id` says which request one belongs to. A client begins with an
//! empty line, which ends whatever line an earlier client left unfinished, and skips responses
//! whose `id` is not its own. A line that is no request is answered with an error, whose `id` is
//! null when none could be read.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::blocks::BlockList;

mod bytes;

pub use bytes::Bytes;
pub use dimmer_report::Status;

/// Name of the virtio-console port that the agent serves.
pub const PORT_NAME: &str = "dimmer.agent";

/// Most bytes of a request line; a longer one is dropped and answered with an error.
pub const MAX_REQUEST: usize = 16 << 20;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the client, unique among its requests; the response repeats it.
    pub id: Value,
    /// What to do.
    #[serde(flatten)]
    pub action: Action,
}

/// What the agent can be asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// Say who is there; answered with [`Pong`].
    Ping,
    /// Report the memory layout; answered with [`Layout`](crate::report::Layout).
    Layout,
    /// Report the memory groups; answered with [`Membership`](crate::groups::Membership).
    Groups,
    /// Run a command and wait for its end; answered with [`Executed`].
    Exec {
        /// Program and arguments; the program is looked for in `PATH`.
        argv: Vec<String>,
        /// Its standard input; empty when not given.
        #[serde(default)]
        stdin: Bytes,
    },
    /// Online blocks, one after another; answered with a [`BlockResult`] each.
    Online {
        /// Which ones.
        blocks: BlockList,
        /// The kind of zone; the kernel's policy chooses when not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        zone: Option<ZoneKind>,
    },
    /// Offline blocks, one after another; answered with a [`BlockResult`] each.
    Offline {
        /// Which ones.
        blocks: BlockList,
    },
    /// Set a policy parameter; answered with null.
    Set {
        /// Which one.
        name: Parameter,
        /// Its value, as the kernel reads it.
        value: String,
    },
    /// Ask the kernel to eject an ACPI memory device; answered with null once asked.
    Eject {
        /// The device's `_UID`.
        slot: u32,
    },
    /// Give the kernel's log; answered with [`KernelLog`].
    KernelLog {
        /// First record wanted; 0 for all that are kept.
        #[serde(default)]
        since: u64,
    },
    /// Load an optional module and what it needs; answered with null.
    LoadModule {
        /// Its name.
        name: String,
    },
    /// Remove an optional module and what it brought; answered with null.
    UnloadModule {
        /// Its name.
        name: String,
    },
    /// Read physical memory that is not the kernel's own; answered with [`Bytes`].
    Peek {
        /// First address.
        address: u64,
        /// Number of bytes.
        count: usize,
    },
    /// Write physical memory that is not the kernel's own; answered with null.
    Poke {
        /// First address.
        address: u64,
        /// What to write.
        bytes: Bytes,
    },
    /// Hold a page of one of these blocks, so that it cannot be offlined; answered with [`Pinned`].
    /// The page's first byte is 1, the others are 0.
    Pin {
        /// The blocks.
        blocks: BlockList,
    },
    /// Let such a page go; answered with null.
    Unpin {
        /// Its physical address, as the answer to [`Pin`](Self::Pin) has it.
        address: u64,
    },
    /// Load another kernel; answered with null.
    KexecLoad(KexecLoad),
    /// Start the loaded kernel, right after the answer, which is null.
    Kexec,
    /// Make the kernel panic, right after the answer, which is null.
    Crash,
    /// Switch the machine off, right after the answer, which is null.
    Poweroff,
    /// Start the machine again, right after the answer, which is null.
    Reboot,
}

/// A kernel to load, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KexecLoad {
    /// Path of its bzImage in the guest.
    pub kernel: String,
    /// Path of its initramfs in the guest.
    pub initramfs: String,
    /// Its command line.
    pub cmdline: String,
    /// Start it when this kernel panics, rather than when asked to.
    #[serde(default)]
    pub on_crash: bool,
}

/// A page that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// Its physical address.
    pub address: u64,
    /// The memory block that it is in.
    pub block: u64,
}

/// The kind of zone to online a block to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ZoneKind {
    /// `online_kernel`.
    Kernel,
    /// `online_movable`.
    Movable,
}

/// The kernel's memory hotplug policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parameter {
    /// What happens to blocks that are added.
    AutoOnlineBlocks,
    /// How `online` chooses a zone.
    OnlinePolicy,
    /// Most movable memory, in percent of kernel memory.
    AutoMovableRatio,
    /// Whether each node must keep that ratio by itself.
    AutoMovableNumaAware,
}

impl Parameter {
    /// All of them, with the names that they have on the wire and on the command line.
    pub const ALL: [(&'static str, Self); 4] = [
        ("auto_online_blocks", Self::AutoOnlineBlocks),
        ("online_policy", Self::OnlinePolicy),
        ("auto_movable_ratio", Self::AutoMovableRatio),
        ("auto_movable_numa_aware", Self::AutoMovableNumaAware),
    ];

    /// The parameter called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, parameter)| *parameter)
    }
}

/// The response to one request: either `ok` or `error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response<T> {
    /// The request's.
    pub id: Value,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome<T>,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome<T> {
    /// It was done; the answer depends on the [`Action`].
    Ok(T),
    /// It could not be done.
    Error(Failure),
}

/// Why a request could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// What failed and why, with the error's name.
    pub text: String,
    /// The kernel's error number, when the kernel refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
}

/// Who answers a ping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// The kernel's release.
    pub kernel: String,
    /// The agent's version.
    pub agent: String,
    /// Which start of the kernel this is: another value after each reboot.
    pub boot_id: String,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executed {
    /// Its status.
    pub status: Status,
    /// What it wrote to standard output.
    pub stdout: Bytes,
    /// What it wrote to standard error.
    pub stderr: Bytes,
}

/// What came of one block's change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockResult {
    /// The block.
    pub index: u64,
    /// Name of the kernel's error, such as `EBUSY`; absent when the change happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The kernel's error number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
}

/// A part of the kernel's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelLog {
    /// The records, ascending.
    pub records: Vec<Record>,
    /// What to ask for next time to get only what is new.
    pub next: u64,
}

/// One record of the kernel's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its number.
    pub seq: u64,
    /// Its severity: 0 emergency … 7 debug.
    pub level: u8,
    /// Microseconds since boot.
    pub time_us: u64,
    /// The message.
    pub text: String,
}

#[cfg(test)]
mod tests;
