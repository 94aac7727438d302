//! Steps in the guest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scenario::BlockSet;

/// Puts blocks online.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Blocks {
    /// Which.
    pub blocks: BlockSet,
    /// The word that is written to `state`.
    #[serde(default)]
    pub how: OnlineWord,
}

/// What `state` and `auto_online_blocks` take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnlineWord {
    /// `offline`; only for `auto_online_blocks`.
    Offline,
    /// `online`: as the policy says.
    #[default]
    Online,
    /// `online_kernel`
    OnlineKernel,
    /// `online_movable`
    OnlineMovable,
}

impl OnlineWord {
    /// The word as Linux spells it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Online => "online",
            Self::OnlineKernel => "online_kernel",
            Self::OnlineMovable => "online_movable",
        }
    }
}

/// What `online_policy` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyWord {
    /// `contig-zones`
    ContigZones,
    /// `auto-movable`
    AutoMovable,
}

impl PolicyWord {
    /// The word as Linux spells it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ContigZones => "contig-zones",
            Self::AutoMovable => "auto-movable",
        }
    }
}

/// Changes of the guest's parameters; what is absent stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// `memory_hotplug`'s `online_policy`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online_policy: Option<PolicyWord>,
    /// `memory_hotplug`'s `auto_movable_ratio`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_movable_ratio: Option<u32>,
    /// `memory_hotplug`'s `auto_movable_numa_aware`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_movable_numa_aware: Option<bool>,
    /// `auto_online_blocks`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_online_blocks: Option<OnlineWord>,
    /// `/sys/firmware/acpi/hotplug/memory/enabled`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acpi_eject: Option<bool>,
    /// Major number of the only device whose pages the kernel takes for broken; pages of programs are of none.
    /// (`corrupt-filter-dev-major` of `hwpoison-inject`, with `corrupt-filter-enable`)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hwpoison_filter_dev_major: Option<u32>,
}

/// Which of the guest's memory notifiers return `EBUSY` from now on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Inject {
    /// When a block is to go offline.
    pub going_offline: bool,
    /// When a block is to go online.
    pub going_online: bool,
}

/// Writes a word to a file of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// The block.
    pub block: u64,
    /// The file.
    #[serde(default)]
    pub file: BlockFile,
    /// The word.
    pub word: String,
}

/// A file of a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BlockFile {
    /// `state`: takes `online`, `online_kernel`, `online_movable` and `offline`.
    #[default]
    State,
    /// `online`: takes `0` and `1`, without a word on the kind of zone.
    Online,
}

impl BlockFile {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Online => "online",
        }
    }
}

/// Has the guest's kernel take a page for broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Poison {
    /// The block that the page is in.
    pub block: u64,
    /// How the kernel comes to know.
    pub by: PoisonWord,
    /// Which page of the block.
    #[serde(default)]
    pub page: PageWord,
}

/// How the guest's kernel comes to know of a broken page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PoisonWord {
    /// `hard_offline_page`
    HardOffline,
    /// `soft_offline_page`
    SoftOffline,
    /// The machine reports an error that a scrubber found (action optional).
    MachineCheck,
}

/// Which page of a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PageWord {
    /// One that nobody uses, near its middle; another one each time.
    #[default]
    Free,
    /// One that a step pinned, which is a program's.
    Pinned,
}
