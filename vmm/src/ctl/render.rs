//! Answers as text for people.

mod balloon;
mod records;

use dimmer_devices::memory::{Kind, Last, MemoryEvent, MemoryStatus, Outcome, State};
use dimmer_devices::places::PlaceStatus;

use crate::api::Problem;
use crate::api::types::Ping;
use crate::control::{Forked, VcpuStatus, VmInfo, VmState};
use crate::events::{Event, MachineEvent, What};
use crate::units::Bytes;

pub use balloon::balloon;
pub use records::{audit, cpus, faults, ost, requests};

const HEADINGS: [&str; 8] = ["ID", "KIND", "NODE", "STATE", "PLUGGED", "REQUESTED", "ADDRESS", "LAST CHANGE"];

pub fn ping(ping: Ping) -> String {
    format!("dimmer {} is there, process {}", ping.version, ping.pid)
}

pub fn info(info: &VmInfo) -> String {
    let rows = [
        ("State", if info.state == VmState::Running { "running" } else { "paused" }.to_owned()),
        ("CPUs", records::cpu_count(&info.processors)),
        ("Boot RAM", Bytes(info.boot_memory).to_string()),
        ("RAM now", Bytes(info.memory_actual_size).to_string()),
        ("Generation", info.generation_id.clone()),
        ("Resets", info.resets.to_string()),
    ];
    let name = info.id.iter().map(|id| ("Name", id.clone()));
    let tracked = info.tracked_since.iter().map(|place| ("Tracked", format!("since {}", place.display())));
    let balloon = info.balloon.iter().map(|balloon| ("Balloon", balloon::amount(balloon)));
    let row = |(name, value)| format!("{name:<12}{value}");
    let mut parts =
        vec![name.chain(rows).chain(tracked).chain(balloon).map(row).collect::<Vec<_>>().join("\n")];
    if !info.memory_devices.is_empty() {
        parts.push(devices(&info.memory_devices));
    }
    if !info.places.is_empty() {
        parts.push(places(&info.places));
    }
    if !info.faults.is_empty() {
        parts.push(records::faults(&info.faults));
    }
    parts.join("\n\n")
}

pub fn devices(devices: &[MemoryStatus]) -> String {
    if devices.is_empty() {
        return "There are no memory devices.".to_owned();
    }
    table(HEADINGS, devices.iter().map(row))
}

/// The places for virtio-mem devices.
fn places(places: &[PlaceStatus]) -> String {
    let row = |place: &PlaceStatus| {
        let device = place.device.clone().unwrap_or_else(|| "-".to_owned());
        let (size, start) = (Bytes(place.range.size).to_string(), format!("{:#x}", place.range.start));
        [place.id.clone(), size, place.node.to_string(), start, device, place.turns_left.to_string()]
    };
    table(["PLACE", "SIZE", "NODE", "ADDRESS", "DEVICE", "TURNS LEFT"], places.iter().map(row))
}

/// Where vCPUs are, and who called what they do.
pub fn vcpus(vcpus: &[VcpuStatus]) -> String {
    let row = |vcpu: &VcpuStatus| {
        let either = |is, yes: &str, no: &str| if is { yes } else { no }.to_owned();
        [
            vcpu.id.to_string(),
            vcpu.activity.to_string(),
            format!("{:#018x}", vcpu.rip),
            either(vcpu.user, "user", "kernel"),
            either(vcpu.interrupts, "on", "off"),
            format!("{:#x}", vcpu.cr3),
        ]
    };
    let mut text = table(["VCPU", "ACTIVITY", "RIP", "MODE", "INTERRUPTS", "CR3"], vcpus.iter().map(row));
    for vcpu in vcpus.iter().filter(|vcpu| !vcpu.callers.is_empty()) {
        let callers: String = vcpu.callers.iter().map(|caller| format!("\n  {caller:#x}")).collect();
        text += &format!("\n\nvCPU {} is to return to, as far as its stack tells:{callers}", vcpu.id);
    }
    text
}

/// Columns as wide as their widest cell, two spaces apart.
fn table<const N: usize>(headings: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut table = vec![headings.map(str::to_owned)];
    table.extend(rows);
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells: String =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
        cells.trim_end().to_owned()
    };
    table.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn row(device: &MemoryStatus) -> [String; 8] {
    let start = device.ranges.first().map_or_else(String::new, |range| format!("{:#x}", range.start));
    [
        device.id.clone(),
        kind(device.kind).to_owned(),
        device.node.to_string(),
        progress(device),
        Bytes(device.plugged_size).to_string(),
        Bytes(device.requested_size).to_string(),
        start,
        last(device).unwrap_or_else(|| "-".to_owned()),
    ]
}

/// The state and what has to end first.
fn progress(device: &MemoryStatus) -> String {
    format!("{}{}", state(device.state), waits(device))
}

/// The device that the guest has to finish with before this one, if there is one.
fn waits(device: &MemoryStatus) -> String {
    device.waits_for.as_ref().map(|other| format!(" (waits for {other})")).unwrap_or_default()
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Dimm => "dimm",
        Kind::VirtioMem => "virtio-mem",
    }
}

const fn state(state: State) -> &'static str {
    match state {
        State::Idle => "idle",
        State::Plugging => "plugging",
        State::Plugged => "plugged",
        State::Unplugging => "unplugging",
    }
}

/// How the latest change ended, if one did.
fn last(device: &MemoryStatus) -> Option<String> {
    device.last.as_ref().map(outcome)
}

fn outcome(last: &Last) -> String {
    let outcome = match last.outcome {
        Outcome::Done => "done",
        Outcome::Partial => "done in part",
        Outcome::Refused => "refused",
    };
    last.reason.as_ref().map_or_else(|| outcome.to_owned(), |reason| format!("{outcome}: {reason}"))
}

/// What a device has and what it was asked for.
fn amount(device: &MemoryStatus) -> String {
    let plugged = Bytes(device.plugged_size);
    if device.plugged_size == device.requested_size {
        return format!("{plugged} plugged");
    }
    format!("{plugged} plugged, {} requested", Bytes(device.requested_size))
}

pub fn done(device: MemoryStatus) -> String {
    format!("Done: {}: {}", device.id, amount(&device))
}

pub fn accepted(device: MemoryStatus) -> String {
    format!("Accepted: {}: {}, {}", device.id, progress(&device), amount(&device))
}

pub fn problem(problem: &Problem) -> String {
    let now = problem.device.as_deref().map(|device| format!("; {}", amount(device)));
    format!("{}{}", problem.detail, now.unwrap_or_default())
}

pub fn event(event: &Event) -> String {
    format!("{:>6} {:>12.6}  {}", event.sequence, event.timestamp.as_secs_f64(), what(&event.what))
}

/// What happened, in words.
pub fn what(what: &What) -> String {
    match what {
        What::Memory(event) => memory_event(event),
        What::Processors(event) => records::processor_event(event),
        What::Machine(event) => machine_event(event),
    }
}

fn memory_event(event: &MemoryEvent) -> String {
    match event {
        MemoryEvent::Accepted { device } => {
            format!("{}: accepted{}, {}", device.id, waits(device), amount(device))
        }
        MemoryEvent::Progress { device } => format!("{}: {}", device.id, amount(device)),
        MemoryEvent::Finished { device } => {
            let outcome = last(device).unwrap_or_else(|| "finished".to_owned());
            format!("{}: {outcome}, {}", device.id, amount(device))
        }
        MemoryEvent::Removed { device } => format!("{}: removed", device.id),
        MemoryEvent::Ost { id, slot, source, status } => {
            let id = id.as_deref().unwrap_or("empty");
            let place =
                slot.map_or_else(|| "container of all slots".to_owned(), |slot| format!("slot {slot}"));
            format!("{id}: {place}: the guest reports _OST({source:#x}, {status:#x})")
        }
    }
}

/// A child.
pub fn forked(child: &Forked) -> String {
    format!("{}: process {}, --api-socket {}", child.id, child.pid, child.api_socket.display())
}

fn machine_event(event: &MachineEvent) -> String {
    match event {
        MachineEvent::Booting => "machine: booting".to_owned(),
        MachineEvent::Paused => "machine: paused".to_owned(),
        MachineEvent::Resumed => "machine: resumed".to_owned(),
        MachineEvent::Restored => "machine: goes on from a snapshot".to_owned(),
        MachineEvent::Forked { id, pid } => format!("machine: forked {id}, process {pid}"),
        MachineEvent::SnapshotTaken { destination, base } => {
            let base = base.as_ref();
            let base = base.map_or_else(String::new, |base| format!(", a difference to {}", base.display()));
            format!("machine: a snapshot of it is in {}{base}", destination.display())
        }
        MachineEvent::Resetting { .. } => "machine: resetting".to_owned(),
        MachineEvent::PowerButton => "machine: the power button was pressed".to_owned(),
        MachineEvent::Nmi => "machine: the guest was sent a non-maskable interrupt".to_owned(),
        MachineEvent::Watchdog { action } => {
            format!("machine: the guest's watchdog bit; what follows: {}", records::word(action))
        }
        MachineEvent::Panicked { console } => {
            let lines: String = console.iter().map(|line| format!("\n    {line}")).collect();
            format!("machine: the guest's kernel panicked{lines}")
        }
        MachineEvent::CrashLoaded => {
            "machine: the guest's kernel panicked, and its crash kernel takes over".to_owned()
        }
        MachineEvent::MachineCheck { address, severity } => {
            format!("machine: a memory error at {address:#x} ({severity}) was reported to the guest")
        }
        MachineEvent::Ended { reason, .. } => format!("machine: ended: {reason}"),
    }
}
