//! The state of a machine with one of each device, for the unit tests of this crate, to be changed as each test needs.

pub mod chain;

use std::time::Duration;

use dimmer_devices::memory::GuestRange;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::memory::{PageSum, Piece, Put};
use super::state::{
    BoardState, CpuidLeaf, DevicesState, FileMark, FilesState, MachineState, MemoryState, Saved, VcpuState,
};
use crate::events::EventsState;
use crate::spec::{FirmwareRangeKind, FirmwareRangeSpec, MachineSpec, WindowSpec, sample};
use crate::units::{GIB, MIB};

/// Bytes of memory that the machine has plugged.
pub const LENGTH: u64 = 64 * MIB + 4096;

/// What `state.json` holds.
pub fn saved() -> Saved {
    let kernel = FileMark { path: "bzImage".into(), bytes: 5, modified: (7, 9), xxh64: Some(3) };
    Saved { files: FilesState { kernel, initramfs: None }, machine: state() }
}

/// A machine with a vCPU, two pieces of memory, a DIMM slot and a virtio-mem device.
pub fn state() -> MachineState {
    let memory = sample::memory(64 * MIB, 2 * GIB);
    let numa = vec![sample::node(0, &[0], 64 * MIB)];
    let firmware_ranges = vec![FirmwareRangeSpec {
        kind: FirmwareRangeKind::Reserved,
        start: Some(5 * GIB),
        size: MIB,
        node: 0,
    }];
    let windows = vec![sample::acpi(8 * GIB), WindowSpec::VirtioMem(sample::virtio_mem(GIB, 2 * MIB))];
    let piece =
        |owner: &str, start, size| Piece { owner: owner.to_owned(), range: GuestRange::new(start, size) };
    MachineState {
        spec: MachineSpec { memory, windows, numa, firmware_ranges, ..sample::machine() },
        resets: 1,
        events: EventsState { kept: Vec::new(), last: 17, clock: Duration::from_secs(5) },
        panic: None,
        faults: Vec::new(),
        memory: MemoryState {
            pieces: vec![piece("boot", 0, 64 * MIB), piece("d0", 6 * GIB, 4096)],
            strays: vec![0, 3, 0],
        },
        board: BoardState {
            chips: Default::default(),
            clock: 1 << 40,
            time_of_day: 1 << 60,
            tsc_khz: 2_000_000,
        },
        vcpus: vec![vcpu()],
        devices: devices(),
    }
}

fn vcpu() -> VcpuState {
    VcpuState {
        cpuid: vec![CpuidLeaf { function: 1, index: 0, flags: 0, registers: [0x663, 0, 1, 2] }],
        mp_state: Default::default(),
        regs: Default::default(),
        sregs: Default::default(),
        xsave: Box::default(),
        xcrs: None,
        lapic: Default::default(),
        msrs: vec![(0x277, 0x0007_0406_0007_0406)],
        events: Default::default(),
        debug: Default::default(),
        tsc: u64::MAX,
    }
}

fn devices() -> DevicesState {
    let negotiation = json!({
        "status": 0, "interrupt_status": 0, "driver_features": 0, "device_features_selector": 0,
        "driver_features_selector": 0, "queue_selector": 0,
    });
    let place = json!({"size": 0, "descriptors": 0, "available": 0, "used": 0});
    let queue = json!({"place": place, "ready": false, "next_available": 0, "next_used": 0});
    let transport = |queues: usize, device: Value| {
        json!({
            "negotiation": negotiation, "generation": 0, "lacking": 0, "queues": vec![queue.clone(); queues],
            "device": device,
        })
    };
    let held =
        json!({"head": 0, "request": {"Ok": "unplug-all"}, "reply_to": [[4096, 10]], "milliseconds": 500});
    let memory = json!({
        "stay": "here",
        "requested_size": 0, "usable_size": 0, "plugged": [], "change_from": null, "last": null, "held": held,
        "log": {"entries": [[{"Ok": {"plug": {"address": 7, "blocks": 2}}}, "nack"]], "total": 1},
    });
    let owed = json!({
        "leaver": null, "check_waits": false, "eject_waits": false, "unanswered": 0, "closing": false, "vanished": false,
        "late": false,
    });
    let slots = json!({
        "slots": vec![json!({"occupant": null, "owed": owed}); 16], "notifications": [], "ejecting": null,
        "bus_checks": {"queued": 0, "fetched": 0, "answered": 0, "waiting": {}},
        "log": {"entries": [], "last": 0}, "selectors": {"slot": 0, "range": 0, "ost_source": 0},
    });
    let control = json!({
        "host_open": false, "told_open": false, "guest_open": false, "port_ready": false, "add": false, "name": false,
    });
    let port = json!({
        "divisor": [12, 0], "interrupt_enable": 0, "interrupt_identification": 1, "line_control": 3, "line_status": 96,
        "modem_control": 8, "modem_status": 176, "scratch": 0, "input": [],
    });
    let balloon = json!({
        "target": 7, "actual": 3, "interval": 5, "statistics": ([Some(4096), None].repeat(8)), "held": 2,
    });
    of(json!({
        "ged": {"pending": 0}, "power": {"sleep_control": 0}, "pvpanic": {"said": 0}, "watchdog": {"count": 30, "left_ms": 7, "bitten": true}, "pci": {"address": 0},
        "serial": {"port": port, "input": [104, 105]},
        "agent": {"port": transport(6, json!({"control": control, "sent": 0})), "input": []},
        "slots": slots, "processors": processors(), "virtio_mem": [transport(1, memory)],
        "places": null, "disks": [], "nets": [], "rng": null,
        "balloon": transport(3, balloon), "vsock": transport(3, json!({"cid": 3})),
    }))
}

/// One that is there, one on its way out, and one that has gone.
fn processors() -> Value {
    let there =
        |leaving| json!({"phase": {"taken": "plugged", "leaving": leaving}, "owes": false, "asked": leaving});
    json!({
        "slots": [there(false), there(true), {"phase": null, "owes": true, "asked": true}], "requested": 1,
        "change": {"before": 3, "reason": "busy"}, "last": {"outcome": "done", "reason": null},
        "notifications": [[1, 3]], "selectors": {"processor": 1, "ost_source": 3},
    })
}

fn of<T: DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).expect("it is as the types are")
}

/// Memory of [`LENGTH`] bytes, with a word in the last page of either piece; for `save`.
pub fn save(put: Put<'_>, sum: Option<&mut PageSum>) -> std::io::Result<()> {
    let parts = [64 * MIB - 4096..64 * MIB, 64 * MIB..LENGTH];
    let read = |place: u64, bytes: &mut [u8]| {
        for (page, place) in bytes.chunks_mut(4096).zip((place..).step_by(4096)) {
            page[..8].copy_from_slice(&place.to_le_bytes());
        }
        Ok(())
    };
    super::memory::save(put, &parts, read, &|| true, sum)
}
