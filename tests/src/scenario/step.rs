//! Steps: what is done to the machine or in the guest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BlockSet, Expect, Size};

/// One step: exactly one of the actions, and what is to come of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// Plugs ACPI memory devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plug: Option<Plug>,
    /// Asks the guest to let an ACPI memory device go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unplug: Option<String>,
    /// Asks for a virtio-mem device's size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize: Option<Resize>,
    /// Puts blocks online, in ascending order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<Blocks>,
    /// Takes blocks offline, in ascending order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline: Option<BlockSet>,
    /// Changes the guest's parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<Parameters>,
    /// Lets the guest's memory notifiers fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inject: Option<Inject>,
    /// Resets the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reboot: Option<Empty>,
    /// What is to come of it; the oracle's word when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
}

/// An action without details: `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// Plugs ACPI memory devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plug {
    /// The device's name, or with `count` what the names begin with: `d` for `d0`, `d1`, …
    pub id: String,
    /// Number of devices, plugged one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Its size, when it has one range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// Its ranges, as `dimmer ctl dimm add --ranges` takes them: `1G~512M+3G`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranges: Option<String>,
    /// Whether each range lies below the one before it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub descending: bool,
    /// Whether its size may be one that the guest cannot take.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unaligned: bool,
    /// Its node.
    #[serde(default)]
    pub node: u32,
}

impl Plug {
    /// The names of the devices, in the order in which they are plugged.
    pub fn ids(&self) -> Vec<String> {
        match self.count {
            None => vec![self.id.clone()],
            Some(count) => (0..count).map(|number| format!("{}{number}", self.id)).collect(),
        }
    }
}

/// Asks for a virtio-mem device's size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// The device.
    #[serde(default = "vmem0")]
    pub id: String,
    /// The requested size.
    pub to: Size,
}

fn vmem0() -> String {
    "vmem0".to_owned()
}

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

/// What one step does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action<'a> {
    /// [`Step::plug`]
    Plug(&'a Plug),
    /// [`Step::unplug`]
    Unplug(&'a str),
    /// [`Step::resize`]
    Resize(&'a Resize),
    /// [`Step::online`]
    Online(&'a Blocks),
    /// [`Step::offline`]
    Offline(&'a BlockSet),
    /// [`Step::set`]
    Set(&'a Parameters),
    /// [`Step::inject`]
    Inject(&'a Inject),
    /// [`Step::reboot`]
    Reboot,
}

impl Action<'_> {
    /// The key that it has in a file.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Plug(_) => "plug",
            Self::Unplug(_) => "unplug",
            Self::Resize(_) => "resize",
            Self::Online(_) => "online",
            Self::Offline(_) => "offline",
            Self::Set(_) => "set",
            Self::Inject(_) => "inject",
            Self::Reboot => "reboot",
        }
    }
}

impl Step {
    /// Its actions; one, when it has been checked.
    fn actions(&self) -> Vec<Action<'_>> {
        let all = [
            self.plug.as_ref().map(Action::Plug),
            self.unplug.as_deref().map(Action::Unplug),
            self.resize.as_ref().map(Action::Resize),
            self.online.as_ref().map(Action::Online),
            self.offline.as_ref().map(Action::Offline),
            self.set.as_ref().map(Action::Set),
            self.inject.as_ref().map(Action::Inject),
            self.reboot.as_ref().map(|Empty {}| Action::Reboot),
        ];
        all.into_iter().flatten().collect()
    }

    /// What it does.
    ///
    /// # Panics
    /// When the step was not checked.
    pub fn action(&self) -> Action<'_> {
        self.actions().pop().expect("a checked step has an action")
    }

    /// Whether it makes sense in itself.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        match &self.actions()[..] {
            [Action::Plug(plug)] if plug.size.is_some() == plug.ranges.is_some() => {
                Err("plug: it must have either `size` or `ranges`".to_owned())
            }
            [Action::Online(blocks)] if blocks.how == OnlineWord::Offline => {
                Err("online: `how` must be online, online_kernel or online_movable".to_owned())
            }
            [_] => Ok(()),
            found => Err(format!(
                "it must have exactly one of plug, unplug, resize, online, offline, set, inject and reboot, not {}",
                found.len()
            )),
        }
    }
}
