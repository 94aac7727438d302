//! Steps about virtio-mem devices.

use dimmer_plan::room::NewVirtioMem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scenario::Size;

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

/// Puts a virtio-mem device into the first place that is free and fits (`present=off`), as `dimmer ctl vmem add` does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// The device's name.
    pub id: String,
    /// Its size; all of the place when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// The size of its blocks; the place's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<Size>,
    /// What its driver is asked for at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested: Option<Size>,
    /// Its node; that of any place when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u32>,
}

impl Add {
    /// What the machine is asked for.
    pub fn device(&self) -> NewVirtioMem {
        let bytes = |size: Option<Size>| size.map(|Size(bytes)| bytes);
        NewVirtioMem {
            id: self.id.clone(),
            size: bytes(self.size),
            block_size: bytes(self.block),
            requested_size: bytes(self.requested).unwrap_or(0),
            node: self.node,
        }
    }
}
