//! `GET /metrics`: numbers for monitoring, as OpenMetrics text. They begin anew with the process.

mod balloon;

use std::fmt;
use std::io;
use std::path::Path;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use dimmer_devices::processors::ProcessorsStatus;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::errors::AnyProblem;
use super::{Api, Problem, Shared};
use crate::control::{Command, Counts, PmemStatus, Reply, VmInfo};
use crate::events::Tally;
use crate::kept;

/// OpenMetrics 1.0.
const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Device {
    id: String,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    id: String,
    request: &'static str,
    response: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Carried {
    id: String,
    what: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ost {
    source: String,
    status: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    event: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cpus {
    what: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Exit {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Resident {
    kind: &'static str,
}

/// Shows numbers for monitoring as OpenMetrics text: what each memory device has and is asked for, what guests' drivers asked for
/// and were answered, how long changes took, what disks and network devices carried, what was flushed of persistent memory, `_OST` reports, events, exits of virtual CPUs, and the host memory
/// of this process, the guest's included.
#[utoipa::path(get, path = "/metrics", responses(
    (status = 200, description = "The numbers", body = String, content_type = "application/openmetrics-text"),
    AnyProblem,
))]
pub async fn metrics(State(api): Shared) -> Result<Response, Problem> {
    let text = text(&api).await?;
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response())
}

async fn text(api: &Api) -> Result<String, Problem> {
    let Reply::Info(info) = api.call(Command::Info).await? else {
        return Err(Problem::unexpected(&"no description"));
    };
    let Reply::Counts(counts) = api.call(Command::Counts).await? else {
        return Err(Problem::unexpected(&"no counts"));
    };
    let failed =
        |error: &dyn fmt::Display| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let mut registry = Registry::with_prefix("dimmer");
    devices(&mut registry, &info);
    cpus(&mut registry, &info.processors);
    carried(&mut registry, &info);
    requests(&mut registry, counts);
    if let Some(balloon) = &info.balloon {
        self::balloon::register(&mut registry, balloon);
    }
    let hub = &api.access.hub;
    events(&mut registry, hub.tally(), hub.missed());
    let help = "How long changes of memory devices took, from the moment at which the guest was asked";
    registry.register_with_unit("memory_change_duration", help, Unit::Seconds, hub.durations());
    resident(&mut registry).map_err(|error| failed(&error))?;
    let mut written = String::new();
    text::encode(&mut written, &registry).map_err(|error| failed(&error))?;
    Ok(written)
}

/// A number of bytes as a gauge has it.
fn bytes(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn devices(registry: &mut Registry, info: &VmInfo) {
    let (requested, plugged, usable) = (
        Family::<Device, Gauge>::default(),
        Family::<Device, Gauge>::default(),
        Family::<Device, Gauge>::default(),
    );
    for device in &info.memory_devices {
        let kind = if device.slot.is_some() { "dimm" } else { "virtio-mem" };
        let label = Device { id: device.id.clone(), kind };
        requested.get_or_create(&label).set(bytes(device.requested_size));
        plugged.get_or_create(&label).set(bytes(device.plugged_size));
        usable.get_or_create(&label).set(bytes(device.usable_size));
    }
    for (name, help, family) in [
        ("memory_device_requested", "What a memory device is asked to have", requested),
        ("memory_device_plugged", "What a memory device has", plugged),
        ("memory_device_usable", "What a memory device could have at present", usable),
    ] {
        registry.register_with_unit(name, help, Unit::Bytes, family);
    }
    let (boot, resets) = (Gauge::<i64>::default(), Counter::<u64>::default());
    boot.set(bytes(info.boot_memory));
    resets.inc_by(info.resets);
    registry.register_with_unit("boot_memory", "Boot RAM", Unit::Bytes, boot);
    registry.register("resets", "Times the machine was reset", resets);
}

fn cpus(registry: &mut Registry, processors: &ProcessorsStatus) {
    let cpus = Family::<Cpus, Gauge>::default();
    for (what, count) in
        [("plugged", processors.plugged), ("requested", processors.requested), ("max", processors.max)]
    {
        cpus.get_or_create(&Cpus { what }).set(count.into());
    }
    let help = "Virtual CPUs: those that there are, that are asked for, and that there can be";
    registry.register("cpus", help, cpus);
}

/// What disks, network devices and the socket device did.
fn carried(registry: &mut Registry, VmInfo { disks, pmems, nets, vsock, .. }: &VmInfo) {
    type Carrying = Family<Carried, Counter>;
    let add = |family: &Carrying, id: &str, what, count| {
        family.get_or_create(&Carried { id: id.to_owned(), what }).inc_by(count);
    };
    let (requests, bytes, frames) = (Carrying::default(), Carrying::default(), Carrying::default());
    for disk in disks {
        let (reads, writes) = (("read", disk.reads), ("write", disk.writes));
        for (what, count) in [reads, writes, ("flush", disk.flushes), ("failed", disk.errors)] {
            add(&requests, &disk.id, what, count);
        }
        add(&bytes, &disk.id, "read", disk.read_bytes);
        add(&bytes, &disk.id, "write", disk.written_bytes);
    }
    persistent(registry, pmems);
    for net in nets {
        for (what, count) in [("sent", net.sent), ("received", net.received), ("dropped", net.dropped)] {
            add(&frames, &net.id, what, count);
        }
    }
    registry.register(
        "disk_requests",
        "Requests of a disk's driver, and those that the host could not do",
        requests,
    );
    registry.register_with_unit("disk_transferred", "What was read and written", Unit::Bytes, bytes);
    registry.register(
        "net_frames",
        "Frames that the guest sent and was given, and those that were dropped",
        frames,
    );
    if let Some(vsock) = vsock {
        let (open, bytes) = (Gauge::<i64>::default(), Carrying::default());
        open.set(i64::try_from(vsock.connections).unwrap_or(i64::MAX));
        add(&bytes, "vsock", "sent", vsock.sent_bytes);
        add(&bytes, "vsock", "received", vsock.received_bytes);
        registry.register("vsock_connections", "Connections of the socket device", open);
        let help = "What the guest sent and took over the socket device";
        registry.register_with_unit("vsock_transferred", help, Unit::Bytes, bytes);
    }
}

/// What was asked of persistent memory.
fn persistent(registry: &mut Registry, pmems: &[PmemStatus]) {
    let (requests, dropped) = (Family::<Carried, Counter>::default(), Family::<Carried, Counter>::default());
    for pmem in pmems {
        let add = |family: &Family<Carried, Counter>, what, count| {
            family.get_or_create(&Carried { id: pmem.id.clone(), what }).inc_by(count);
        };
        add(&requests, "flush", pmem.flushes);
        add(&requests, "failed", pmem.errors);
        add(&dropped, "write", pmem.dropped_writes);
    }
    let help = "Flushes of persistent memory, and those that the host could not do";
    registry.register("pmem_requests", help, requests);
    let help = "Accesses that wrote to persistent memory which can only be read";
    registry.register("pmem_dropped_writes", help, dropped);
}

fn requests(registry: &mut Registry, Counts { requests, exits }: Counts) {
    let asked = Family::<Request, Counter>::default();
    for (id, counts) in requests {
        for ((request, response), count) in counts {
            asked.get_or_create(&Request { id: id.clone(), request, response }).inc_by(count);
        }
    }
    registry.register("virtio_mem_requests", "Requests of a virtio-mem driver by their answer", asked);
    let out = Family::<Exit, Counter>::default();
    for (reason, count) in exits {
        out.get_or_create(&Exit { reason }).inc_by(count);
    }
    registry.register("vcpu_exits", "Times that virtual CPUs came out of the guest", out);
}

fn events(registry: &mut Registry, Tally { events, ost }: Tally, missed: u64) {
    let happened = Family::<Named, Counter>::default();
    for (event, count) in events {
        happened.get_or_create(&Named { event }).inc_by(count);
    }
    registry.register("events", "Events", happened);
    let dropped = Counter::<u64>::default();
    dropped.inc_by(missed);
    registry.register(
        "events_dropped",
        "Events that a listener wanted when they were no longer kept",
        dropped,
    );
    let reports = Family::<Ost, Counter>::default();
    let code = |code: Option<u32>| code.map_or_else(|| "other".to_owned(), |code| format!("{code:#x}"));
    for ((source, status), count) in ost {
        reports.get_or_create(&Ost { source: code(source), status: code(status) }).inc_by(count);
    }
    registry.register("ost_reports", "What the guest reported with _OST, by its arguments 0 and 1", reports);
}

/// The host memory of this process (Linux, Documentation/filesystems/proc.rst, `/proc/PID/status`).
fn resident(registry: &mut Registry) -> io::Result<()> {
    let status = kept::text(Path::new(kept::STATUS))?;
    let family = Family::<Resident, Gauge>::default();
    for (key, kind) in [("RssAnon:", "anonymous"), ("RssFile:", "file"), ("RssShmem:", "shared")] {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let pages = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        if let Some(kib) = pages {
            family.get_or_create(&Resident { kind }).set(bytes(kib.saturating_mul(1024)));
        }
    }
    let help = "Host memory of this process, the guest's included, by what is behind it";
    registry.register_with_unit("resident_memory", help, Unit::Bytes, family);
    Ok(())
}
