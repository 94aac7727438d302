//! Valid machines for unit tests, to be changed as each test needs.

use super::{
    Backing, Clock, MachineSpec, MemorySpec, NodeSpec, RestoreSpec, RestoredMemory, SerialSpec, Source,
    VirtioMemSpec, WindowSpec,
};
use crate::layout::HIGH_RAM_START;
use crate::placement::Placement;
use crate::units::{GIB, MIB};

/// A machine with 4 GiB of RAM, 2 GiB of it low, one CPU, and nothing else.
pub fn machine() -> MachineSpec {
    MachineSpec {
        kernel: "bzImage".into(),
        initramfs: None,
        cmdline: String::new(),
        cpus: 1,
        max_cpus: 1,
        memory: memory(4 * GIB, 2 * GIB),
        numa: Vec::new(),
        windows: Vec::new(),
        dimms: Vec::new(),
        firmware_ranges: Vec::new(),
        disks: Vec::new(),
        pmems: Vec::new(),
        nets: Vec::new(),
        rng: false,
        balloon: None,
        vsock: None,
        watchdog: None,
        cpu_vendor: None,
        nested: false,
        faults: Vec::new(),
        api_socket: None,
        agent_socket: None,
        serial: SerialSpec::Null,
        watch_console: false,
    }
}

/// Anonymous boot RAM.
pub fn memory(size: u64, low: u64) -> MemorySpec {
    let (backing, high) = (Backing::Anon, HIGH_RAM_START);
    MemorySpec { size, low, high, backing, prealloc: false, thp: true, reserve: false }
}

/// A node with these CPUs and this much RAM.
pub fn node(id: u32, cpus: &[u32], memory: u64) -> NodeSpec {
    NodeSpec {
        id,
        cpus: cpus.to_vec(),
        memory,
        distances: Vec::new(),
        host_nodes: Vec::new(),
        performance: None,
    }
}

/// A virtio-mem device `vmem0` in node 0 that starts empty.
pub fn virtio_mem(size: u64, block_size: u64) -> VirtioMemSpec {
    let slot_size = block_size.max(128 * MIB);
    let (id, placement) = ("vmem0".to_owned(), Placement::default());
    VirtioMemSpec {
        id,
        size,
        block_size,
        node: 0,
        requested: 0,
        slot_size,
        placement,
        legacy: false,
        present: true,
    }
}

/// A window with 16 slots.
pub fn acpi(size: u64) -> WindowSpec {
    WindowSpec::Acpi { slots: 16, size, placement: Placement::default() }
}

/// A machine that goes on as it was.
pub fn as_it_was(source: Source) -> RestoreSpec {
    RestoreSpec {
        source,
        memory: RestoredMemory::Copy,
        clock: Clock::Stay,
        paused: false,
        track: false,
        kernel: None,
        initramfs: None,
        api_socket: None,
        agent_socket: None,
        serial: None,
    }
}
