//! cloud-hypervisor's API, as far as it is not ours: its description of a machine, its counters, and its calls that have
//! nothing behind them here. Its names are kept; what differs in meaning is in `docs/compatibility.md`.

mod absent;
mod calls;
mod config;
mod counters;
mod tree;

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::control::VmInfo;
use crate::spec::MachineSpec;

pub use absent::why_not;
pub use calls::{__path_remove_device, __path_shutdown_vmm, remove_device, shutdown_vmm};
pub use config::VmConfig;
pub use counters::{__path_counters, counters};
pub use tree::DeviceNode;

/// The body of `GET /vm.info`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Description {
    /// What Dimmer says.
    #[serde(flatten)]
    pub own: VmInfo,
    /// How the machine was made, as cloud-hypervisor would say it.
    pub config: VmConfig,
    /// Its devices by name, as cloud-hypervisor would say it.
    pub device_tree: BTreeMap<String, DeviceNode>,
}

impl Description {
    /// What `own` leaves out.
    pub fn new(own: VmInfo, spec: &MachineSpec) -> Self {
        let config = VmConfig::new(spec, &own);
        Self { config, device_tree: tree::tree(&own.memory_devices), own }
    }
}
