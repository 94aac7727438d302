//! `device_add`, `device_del` and `object-del`: DIMMs and virtio-mem devices come and go.

use dimmer_devices::dimm::{Dimm, DimmRange, Notify};
use dimmer_devices::memory::MemoryStatus;
use dimmer_devices::placement::Placement;
use dimmer_devices::places::NewVirtioMem;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Monitor;
use super::message::QmpError;
use crate::control::{Command, Reply};
use crate::spec::{BadValue, DimmSpec, check_id};

/// The arguments of `device_add`.
#[derive(Debug, Deserialize)]
#[serde(tag = "driver")]
pub enum NewDevice {
    #[serde(rename = "pc-dimm")]
    Dimm(NewDimm),
    /// By its name on each transport.
    #[serde(rename = "virtio-mem-pci", alias = "virtio-mem-device", alias = "virtio-mem")]
    VirtioMem(NewVirtioMemDevice),
}

/// A DIMM.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDimm {
    id: String,
    /// The object that it is made of.
    memdev: String,
    #[serde(default)]
    node: u32,
    /// The guest-physical address at which it begins.
    addr: Option<u64>,
}

/// A virtio-mem device, which comes to a place; as large as its object. Sizes in bytes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NewVirtioMemDevice {
    id: String,
    /// The object that it is made of.
    memdev: String,
    node: Option<u32>,
    #[serde(default)]
    requested_size: u64,
    block_size: Option<u64>,
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

/// Plugs a DIMM, or puts a virtio-mem device into a place.
pub async fn add(monitor: &Monitor, wanted: NewDevice) -> Result<Value, QmpError> {
    match wanted {
        NewDevice::Dimm(NewDimm { id, memdev, node, addr }) => {
            let placement = Placement { start: addr, align: None };
            let command = |size| {
                let dimm = Dimm::new(id.clone(), vec![DimmRange { size, gap: 0 }]);
                let spec = DimmSpec { dimm: Dimm { node, placement, ..dimm }, notify: Notify::DeviceCheck };
                spec.check().map(|()| Command::AddDimm(spec))
            };
            add_of(monitor, &id, &memdev, command).await
        }
        NewDevice::VirtioMem(NewVirtioMemDevice { id, memdev, node, requested_size, block_size }) => {
            let command = |size| {
                let size = Some(size);
                let new = NewVirtioMem { id: id.clone(), size, block_size, requested_size, node };
                check_id(&id).map(|()| Command::AddVirtioMem(new))
            };
            add_of(monitor, &id, &memdev, command).await
        }
    }
}

/// Adds the device `id` by the command that an object of that size makes it; the object stays free if it does not come.
async fn add_of(
    monitor: &Monitor,
    id: &str,
    memdev: &str,
    command: impl FnOnce(u64) -> Result<Command, BadValue>,
) -> Result<Value, QmpError> {
    let all = devices(monitor).await?;
    let there = |device: &str| all.iter().any(|other| other.id == device);
    if there(id) {
        return Err(QmpError::generic(format!("id: {id:?} is the name of another memory device")));
    }
    let size = monitor.backends.take(memdev, id, there)?;
    let added = async {
        let command = command(size).map_err(|bad| QmpError::generic(bad.to_string()))?;
        Ok(monitor.access.call(command).await?)
    };
    added.await.map(|_: Reply| json!({})).inspect_err(|_: &QmpError| monitor.backends.give_back(memdev))
}

/// Asks the guest to let a device go; `DEVICE_DELETED` or `DEVICE_UNPLUG_GUEST_ERROR` says what came of it.
pub async fn remove(monitor: &Monitor, Named { id }: Named) -> Result<Value, QmpError> {
    let id = super::properties::last(&id).to_owned();
    monitor.access.call(Command::Remove(id)).await?;
    Ok(json!({}))
}

/// Forgets an object that no device is made of.
pub async fn remove_object(monitor: &Monitor, Named { id }: Named) -> Result<Value, QmpError> {
    let all = devices(monitor).await?;
    monitor.backends.remove(&id, |dimm| all.iter().any(|device| device.id == dimm))?;
    Ok(json!({}))
}
