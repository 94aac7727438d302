//! What the machine keeps records of, as text for people: faults, `_OST` reports, virtio-mem requests, and
//! the audit.

use dimmer_devices::fault::{Fault, FaultStatus};
use dimmer_devices::hotplug::OstReport;
use dimmer_devices::memory::{GuestRange, State};
use dimmer_devices::processors::{ProcessorEvent, ProcessorsStatus};
use dimmer_devices::virtio_mem::RequestRecord;
use serde::Serialize;

use super::{outcome, table};
use crate::audit::{AreaAudit, Audit, DeviceAudit};
use crate::units::Bytes;

pub fn faults(faults: &[FaultStatus]) -> String {
    if faults.is_empty() {
        return "No faults are set.".to_owned();
    }
    let row = |FaultStatus { fault, seen, acted }: &FaultStatus| {
        [
            fault.device.clone(),
            word(fault.on),
            action(fault),
            fault.nth.to_string(),
            fault.times.to_string(),
            seen.to_string(),
            acted.to_string(),
        ]
    };
    table(["DEVICE", "ON", "DO", "NTH", "TIMES", "SEEN", "ACTED"], faults.iter().map(row))
}

/// A name as the API has it.
pub(super) fn word(name: impl Serialize) -> String {
    let value = serde_json::to_value(name).expect("a name can be written as JSON");
    value.as_str().expect("it is a word").to_owned()
}

/// What goes wrong, with its number.
fn action(fault: &Fault) -> String {
    let word = word(fault.action);
    match (fault.milliseconds, fault.size) {
        (Some(milliseconds), _) => format!("{word} {milliseconds} ms"),
        (None, Some(size)) => format!("{word} {}", Bytes(size)),
        (None, None) => word,
    }
}

pub fn ost(reports: &[OstReport]) -> String {
    if reports.is_empty() {
        return "The guest has reported nothing.".to_owned();
    }
    let row = |report: &OstReport| {
        [
            report.number.to_string(),
            report.slot.map_or_else(|| "all".to_owned(), |slot| slot.to_string()),
            format!("{:#x}", report.source),
            format!("{:#x}", report.status),
            report.meaning.clone(),
        ]
    };
    table(["NUMBER", "SLOT", "SOURCE", "STATUS", "MEANING"], reports.iter().map(row))
}

pub fn requests(requests: &[RequestRecord]) -> String {
    if requests.is_empty() {
        return "The driver has asked for nothing.".to_owned();
    }
    let row = |record: &RequestRecord| {
        let (start, size) = match record.range {
            Some(GuestRange { start, size }) => (format!("{start:#x}"), Bytes(size).to_string()),
            None => ("-".to_owned(), "-".to_owned()),
        };
        [record.number.to_string(), record.request.clone(), start, size, record.response.clone()]
    };
    table(["NUMBER", "REQUEST", "ADDRESS", "SIZE", "RESPONSE"], requests.iter().map(row))
}

pub fn audit(audit: &Audit) -> String {
    let total = |ranges: &[GuestRange]| Bytes(ranges.iter().map(|range| range.size).sum()).to_string();
    let device = |device: &DeviceAudit| {
        [
            device.id.clone(),
            Bytes(device.held).to_string(),
            total(&device.slots),
            device.slot_count.to_string(),
            total(&device.mapped),
        ]
    };
    let area = |area: &AreaAudit| {
        [
            format!("{:#x}-{:#x}", area.range.start, area.range.end().saturating_sub(1)),
            Bytes(area.range.size).to_string(),
            area.device.clone().unwrap_or_else(|| "dimms".to_owned()),
            Bytes(area.mapped).to_string(),
            area.stray_accesses.to_string(),
        ]
    };
    let devices = table(["ID", "HELD", "IN KVM SLOTS", "SLOTS", "MAPPED"], audit.devices.iter().map(device));
    let areas = table(["ADDRESSES", "SIZE", "FOR", "MAPPED", "STRAY ACCESSES"], audit.areas.iter().map(area));
    let verdict = if audit.ok { "All books agree." } else { "The books do not agree:" };
    let problems: String = audit.problems.iter().map(|problem| format!("\n- {problem}")).collect();
    format!("{devices}\n\n{areas}\n\n{verdict}{problems}")
}

/// How many processors there are, and may be.
pub fn cpus(cpus: &ProcessorsStatus) -> String {
    let last = cpus.last.as_ref().map(|last| format!("; last change {}", outcome(last)));
    format!("{}{}", cpu_count(cpus), last.unwrap_or_default())
}

/// The same without what became of the last change.
pub(super) fn cpu_count(cpus: &ProcessorsStatus) -> String {
    let ProcessorsStatus { max, requested, plugged, state, .. } = cpus;
    let wanted = if plugged == requested { String::new() } else { format!(", {requested} requested") };
    let may = if max == requested && max == plugged { String::new() } else { format!(" of at most {max}") };
    let doing = if *state == State::Plugged { String::new() } else { format!(", {}", word(state)) };
    format!("{plugged}{may}{wanted}{doing}")
}

/// What happened to processors.
pub(super) fn processor_event(event: &ProcessorEvent) -> String {
    match event {
        ProcessorEvent::CpusAccepted { cpus } => format!("cpus: accepted, {}", cpu_count(cpus)),
        ProcessorEvent::CpusProgress { cpus } => format!("cpus: {}", cpu_count(cpus)),
        ProcessorEvent::CpusFinished { cpus } => {
            let how = cpus.last.as_ref().map_or_else(|| "finished".to_owned(), outcome);
            format!("cpus: {how}, {}", cpu_count(cpus))
        }
        ProcessorEvent::CpuOst { cpu, source, status } => {
            format!("CPU {cpu}: the guest reports _OST({source:#x}, {status:#x})")
        }
    }
}
