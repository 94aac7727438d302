//! What is to go wrong with a memory device, and on which occasion.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod action;

pub use action::{Action, ActionName, FaultError};

/// What happens to a memory device and can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// virtio-mem: the driver asks to plug blocks.
    Plug,
    /// virtio-mem: the driver asks to unplug blocks.
    Unplug,
    /// virtio-mem: the driver asks to unplug all blocks.
    UnplugAll,
    /// virtio-mem: the driver asks for the state of blocks.
    State,
    /// The host maps memory for the device.
    Map,
    /// The host adds or deletes a KVM memory slot for the device.
    Slot,
    /// The host takes memory of the device back.
    Discard,
    /// DIMM: the guest asks with `_CRS` for the device's ranges.
    Resources,
    /// DIMM: the host is asked to remove the device.
    Remove,
    /// DIMM: the guest runs `_EJ0`.
    Eject,
    /// The device interrupts the guest: a notification of a DIMM, or the change of a virtio-mem
    /// device's configuration.
    Interrupt,
}

/// One fault: `action` on the `nth` occasion of `on`, and on the following ones, `times` in all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Id of the memory device, which need not be there yet.
    pub device: String,
    /// What the fault waits for.
    pub on: Point,
    /// The first occasion on which it acts, counted from 1, from when it was set.
    #[serde(default = "one")]
    #[schema(minimum = 1, default = 1)]
    pub nth: u64,
    /// The number of occasions on which it acts.
    #[serde(default = "one")]
    #[schema(minimum = 1, default = 1)]
    pub times: u64,
    /// What goes wrong.
    #[serde(rename = "do")]
    pub action: ActionName,
    /// For `delay`: how long, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<u64>,
    /// For `request`: the new requested size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

const fn one() -> u64 {
    1
}
