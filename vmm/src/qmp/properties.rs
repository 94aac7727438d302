//! `qom-get` and `qom-set`: the properties of a virtio-mem device.

use dimmer_devices::memory::{Kind, MemoryStatus};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Monitor;
use super::message::QmpError;
use crate::control::{Command, Reply};

/// What can be read.
const READ: &str = "requested-size, size, block-size, memaddr or node";

/// The arguments of `qom-get`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Get {
    path: String,
    property: String,
}

/// The arguments of `qom-set`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    path: String,
    property: String,
    value: u64,
}

/// The name at the end of a path such as `/machine/peripheral/vmem0`, which may be the name alone.
pub fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

async fn device(monitor: &Monitor, path: &str) -> Result<MemoryStatus, QmpError> {
    match monitor.access.call(Command::Device(last(path).to_owned())).await? {
        Reply::Device(device) if device.kind == Kind::VirtioMem => Ok(device),
        Reply::Device(device) => Err(QmpError::generic(format!("{:?} is no virtio-mem device", device.id))),
        _ => Err(QmpError::unexpected()),
    }
}

fn wrong(property: &str, right: &str) -> QmpError {
    QmpError::generic(format!("property={property:?}: must be {right}"))
}

/// Shows a property.
pub async fn get(monitor: &Monitor, Get { path, property }: Get) -> Result<Value, QmpError> {
    let device = device(monitor, &path).await?;
    Ok(match property.as_str() {
        "requested-size" => json!(device.requested_size),
        "size" => json!(device.plugged_size),
        "block-size" => json!(device.block_size),
        "memaddr" => json!(device.ranges.first().map(|range| range.start)),
        "node" => json!(device.node),
        other => return Err(wrong(other, READ)),
    })
}

/// Asks for a size.
pub async fn set(monitor: &Monitor, Set { path, property, value }: Set) -> Result<Value, QmpError> {
    let device = device(monitor, &path).await?;
    if property != "requested-size" {
        return Err(wrong(&property, "requested-size"));
    }
    monitor.access.call(Command::Resize { id: device.id, size: value }).await?;
    Ok(json!({}))
}
