//! `device_add`, `device_del` and `object-del`: DIMMs come and go.

use dimmer_devices::dimm::{Dimm, DimmRange, Notify};
use dimmer_devices::memory::MemoryStatus;
use dimmer_devices::placement::Placement;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Monitor;
use super::message::QmpError;
use crate::control::{Command, Reply};
use crate::spec::DimmSpec;

/// The one kind of device that can be added.
const DIMM: &str = "pc-dimm";

/// The arguments of `device_add`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDevice {
    driver: String,
    id: String,
    /// The object that it is made of.
    memdev: String,
    #[serde(default)]
    node: u32,
    /// The guest-physical address at which it begins.
    addr: Option<u64>,
}

/// The arguments of `device_del` and `object-del`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    id: String,
}

/// The memory devices that there are.
pub async fn devices(monitor: &Monitor) -> Result<Vec<MemoryStatus>, QmpError> {
    match monitor.access.call(Command::Devices).await? {
        Reply::Devices(devices) => Ok(devices),
        _ => Err(QmpError::unexpected()),
    }
}

/// Plugs a DIMM.
pub async fn add(monitor: &Monitor, wanted: NewDevice) -> Result<Value, QmpError> {
    let NewDevice { driver, id, memdev, node, addr } = wanted;
    if driver != DIMM {
        let why = "a machine's other devices are said on the command line of dimmer run";
        return Err(QmpError::generic(format!("driver={driver:?}: must be {DIMM}: {why}")));
    }
    let all = devices(monitor).await?;
    let there = |dimm: &str| all.iter().any(|device| device.id == dimm);
    if there(&id) {
        return Err(QmpError::generic(format!("id: {id:?} is the name of another memory device")));
    }
    let size = monitor.backends.take(&memdev, &id, there)?;
    let placement = Placement { start: addr, align: None };
    let dimm = Dimm { node, placement, ..Dimm::new(id, vec![DimmRange { size, gap: 0 }]) };
    let spec = DimmSpec { dimm, notify: Notify::DeviceCheck };
    let added = async {
        spec.check().map_err(|bad| QmpError::generic(bad.to_string()))?;
        Ok(monitor.access.call(Command::AddDimm(spec)).await?)
    };
    added.await.map(|_: Reply| json!({})).inspect_err(|_: &QmpError| monitor.backends.give_back(&memdev))
}

/// Asks the guest to let a DIMM go; `DEVICE_DELETED` or `DEVICE_UNPLUG_GUEST_ERROR` says what came of it.
pub async fn remove(monitor: &Monitor, Named { id }: Named) -> Result<Value, QmpError> {
    let id = super::properties::last(&id).to_owned();
    monitor.access.call(Command::Remove(id)).await?;
    Ok(json!({}))
}

/// Forgets an object that no DIMM is made of.
pub async fn remove_object(monitor: &Monitor, Named { id }: Named) -> Result<Value, QmpError> {
    let all = devices(monitor).await?;
    monitor.backends.remove(&id, |dimm| all.iter().any(|device| device.id == dimm))?;
    Ok(json!({}))
}
