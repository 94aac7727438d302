//! Steps with dax devices: memory that a driver manages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Has the driver of a dax device let it go, sets its `memmap_on_memory` if that is said, and has another driver take
/// it, as `daxctl reconfigure-device` does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dax {
    /// The device: `dax0.0` is that of the machine's first soft-reserved range by addresses, `dax1.0` of the second.
    pub id: String,
    /// The driver that is to take it.
    pub driver: DriverWord,
    /// Whether kmem is to put the memmap of the device's memory onto that memory; without a word that stays as it is.
    /// Releases have it since 6.9, and only guests with `memmap_on_memory` take `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memmap_on_memory: Option<bool>,
}

/// A driver of dax devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DriverWord {
    /// None.
    None,
    /// `device_dax`: programs map the memory.
    DeviceDax,
    /// `kmem`: the memory becomes RAM.
    Kmem,
}

impl DriverWord {
    /// The driver's name; nothing where there is none.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::DeviceDax => Some("device_dax"),
            Self::Kmem => Some("kmem"),
        }
    }
}
