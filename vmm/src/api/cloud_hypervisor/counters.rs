//! `GET /vm.counters`: numbers that only grow, by device.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;

use super::super::errors::AnyProblem;
use super::super::{Problem, Shared};
use crate::control::{Command, DiskStatus, NetStatus, PmemStatus, Reply, VsockStatus};

/// Counters by device and name.
type Counters = BTreeMap<String, BTreeMap<String, u64>>;

/// Shows counters by device and name, all since this VMM started: of a virtio-mem device, how many requests of its driver were
/// answered in which way, as `plug_ack`; of a disk, its reads, writes and their bytes; of persistent memory, its flushes; of a network device, its frames; of the socket device
/// (`vsock`), its bytes.
#[utoipa::path(get, path = "/vm.counters", responses(
    (status = 200, description = "The counters", body = BTreeMap<String, BTreeMap<String, u64>>),
    AnyProblem,
))]
pub async fn counters(State(api): Shared) -> Result<Json<Counters>, Problem> {
    let Reply::Counts(counts) = api.call(Command::Counts).await? else {
        return Err(Problem::unexpected(&"no counts"));
    };
    let Reply::Info(info) = api.call(Command::Info).await? else {
        return Err(Problem::unexpected(&"no description"));
    };
    let names = |counts: BTreeMap<(&'static str, &'static str), u64>| {
        counts.into_iter().map(|((request, answer), count)| (format!("{request}_{answer}"), count)).collect()
    };
    let mut all: Counters = counts.requests.into_iter().map(|(id, counts)| (id, names(counts))).collect();
    all.extend(info.disks.into_iter().map(disk));
    all.extend(info.pmems.into_iter().map(pmem));
    all.extend(info.nets.into_iter().map(net));
    all.extend(info.vsock.map(vsock));
    Ok(Json(all))
}

fn named(id: String, counts: &[(&str, u64)]) -> (String, BTreeMap<String, u64>) {
    (id, counts.iter().map(|&(name, count)| (name.to_owned(), count)).collect())
}

fn disk(disk: DiskStatus) -> (String, BTreeMap<String, u64>) {
    let DiskStatus { id, reads, writes, read_bytes, written_bytes, .. } = disk;
    let counts = [
        ("read_ops", reads),
        ("write_ops", writes),
        ("read_bytes", read_bytes),
        ("write_bytes", written_bytes),
    ];
    named(id, &counts)
}

fn pmem(pmem: PmemStatus) -> (String, BTreeMap<String, u64>) {
    let PmemStatus { id, flushes, errors, dropped_writes, .. } = pmem;
    let counts = [("flush_ops", flushes), ("flush_errors", errors), ("dropped_writes", dropped_writes)];
    named(id, &counts)
}

fn net(net: NetStatus) -> (String, BTreeMap<String, u64>) {
    let NetStatus { id, sent, received, .. } = net;
    named(id, &[("tx_frames", sent), ("rx_frames", received)])
}

fn vsock(vsock: VsockStatus) -> (String, BTreeMap<String, u64>) {
    let VsockStatus { sent_bytes, received_bytes, .. } = vsock;
    named("vsock".to_owned(), &[("tx_bytes", sent_bytes), ("rx_bytes", received_bytes)])
}
