//! What can be asked: the machine's state, its memory, what the guest reported.

use std::collections::BTreeMap;

use dimmer_devices::hotplug::OstReport;
use dimmer_devices::memory::{Kind, MemoryStatus};
use serde_json::{Value, json};

use super::Monitor;
use super::devices::devices;
use super::message::QmpError;
use crate::control::{Command, Reply, VmInfo, VmState};
use crate::spec::WindowSpec;

/// What the machine says of itself.
pub async fn info(monitor: &Monitor) -> Result<VmInfo, QmpError> {
    match monitor.access.call(Command::Info).await? {
        Reply::Info(info) => Ok(*info),
        _ => Err(QmpError::unexpected()),
    }
}

/// Whether the virtual CPUs run.
pub async fn status(monitor: &Monitor) -> Result<Value, QmpError> {
    let running = info(monitor).await?.state == VmState::Running;
    Ok(json!({"running": running, "status": if running { "running" } else { "paused" }}))
}

/// The machine's name, if it is a fork.
pub async fn name(monitor: &Monitor) -> Result<Value, QmpError> {
    let id = info(monitor).await?.id;
    Ok(id.map_or_else(|| json!({}), |id| json!({"name": id})))
}

/// All memory devices.
pub async fn memory_devices(monitor: &Monitor) -> Result<Value, QmpError> {
    Ok(devices(monitor).await?.iter().map(|device| memory_device(monitor, device)).collect())
}

fn memory_device(monitor: &Monitor, device: &MemoryStatus) -> Value {
    let start = device.ranges.first().map(|range| range.start);
    let size: u64 = device.ranges.iter().map(|range| range.size).sum();
    let memdev = monitor.backends.path(&device.id);
    let at_boot = monitor.access.spec.dimms.iter().any(|dimm| dimm.id == device.id);
    match device.kind {
        Kind::Dimm => json!({"type": "dimm", "data": {
            "id": device.id, "addr": start, "size": size, "node": device.node, "slot": device.slot,
            "memdev": memdev, "hotplugged": !at_boot, "hotpluggable": true,
        }}),
        Kind::VirtioMem => json!({"type": "virtio-mem", "data": {
            "id": device.id, "memaddr": start, "requested-size": device.requested_size,
            "size": device.plugged_size, "max-size": size, "block-size": device.block_size,
            "node": device.node, "memdev": memdev,
        }}),
    }
}

/// Boot RAM, and what is plugged.
pub async fn memory_size(monitor: &Monitor) -> Result<Value, QmpError> {
    let info = info(monitor).await?;
    let plugged: u64 = info.memory_devices.iter().map(|device| device.plugged_size).sum();
    Ok(json!({"base-memory": info.boot_memory, "plugged-memory": plugged}))
}

/// What the guest reported last of each slot for DIMMs.
pub async fn ospm_status(monitor: &Monitor) -> Result<Value, QmpError> {
    let slots = monitor.access.spec.windows.iter().find_map(|window| match window {
        WindowSpec::Acpi { slots, .. } => Some(*slots),
        WindowSpec::VirtioMem(_) => None,
    });
    let devices = devices(monitor).await?;
    let Reply::Ost(reports) = monitor.access.call(Command::AllOst).await? else {
        return Err(QmpError::unexpected());
    };
    let latest: BTreeMap<u16, &OstReport> =
        reports.iter().filter_map(|report| Some((report.slot?, report))).collect();
    let status = |slot: u16| {
        let (source, status) = latest.get(&slot).map_or((0, 0), |report| (report.source, report.status));
        let device = devices.iter().find(|device| device.slot == Some(slot));
        ost(device.map(|device| device.id.as_str()), slot, source, status)
    };
    Ok((0..slots.unwrap_or(0)).map(status).collect())
}

/// What the guest reported of a slot.
pub fn ost(device: Option<&str>, slot: u16, source: u32, status: u32) -> Value {
    let mut info = json!({"slot": slot.to_string(), "slot-type": "DIMM", "source": source, "status": status});
    if let Some(device) = device {
        info["device"] = device.into();
    }
    info
}
