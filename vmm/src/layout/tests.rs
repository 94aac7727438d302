use super::*;
use crate::spec::{Backing, MemorySpec, SerialSpec, VirtioMemSpec};
use crate::units::MIB;
use proptest::prelude::*;

fn spec(size: u64, low: u64, windows: Vec<WindowSpec>) -> MachineSpec {
    MachineSpec {
        kernel: "vmlinux".into(),
        initramfs: None,
        cmdline: String::new(),
        cpus: 1,
        memory: MemorySpec { size, low, backing: Backing::Anon, prealloc: false, thp: true },
        numa: Vec::new(),
        windows,
        api_socket: None,
        agent_socket: None,
        serial: SerialSpec::Null,
    }
}

fn acpi(size: u64) -> WindowSpec {
    WindowSpec::Acpi { slots: 16, size }
}

fn virtio_mem(size: u64, block_size: u64) -> WindowSpec {
    WindowSpec::VirtioMem(VirtioMemSpec { id: "vmem0".into(), size, block_size, node: 0, requested: 0 })
}

#[test]
fn a_4_gib_machine_has_its_first_window_at_block_48() {
    let layout = Layout::plan(&spec(4 * GIB, 2 * GIB, vec![acpi(24 * GIB), virtio_mem(GIB, 2 * MIB)]), 40);
    let layout = layout.unwrap();
    assert_eq!(layout.ram, [GuestRange::new(0, 2 * GIB), GuestRange::new(4 * GIB, 2 * GIB)]);
    assert_eq!(layout.windows[0].start, 48 * 128 * MIB);
    assert_eq!(layout.windows[1], GuestRange::new(30 * GIB, GIB));
}

#[test]
fn a_small_machine_has_its_first_window_at_4_gib() {
    let layout = Layout::plan(&spec(256 * MIB, 2 * GIB, vec![acpi(GIB)]), 40).unwrap();
    assert_eq!(layout.ram, [GuestRange::new(0, 256 * MIB)]);
    assert_eq!(layout.windows[0].start, 4 * GIB);
}

#[test]
fn nodes_take_ram_in_order_across_the_hole() {
    let mut spec = spec(4 * GIB, 3 * GIB, Vec::new());
    let node = |id, memory| NodeSpec { id, cpus: Vec::new(), memory, distances: Vec::new() };
    spec.numa = vec![node(0, 2 * GIB), node(1, 2 * GIB)];
    let piece = |start, size, node| RamRange { range: GuestRange::new(start, size), node };
    assert_eq!(
        Layout::plan(&spec, 40).unwrap().nodes,
        [piece(0, 2 * GIB, 0), piece(2 * GIB, GIB, 1), piece(4 * GIB, GIB, 1)]
    );
}

#[test]
fn what_the_cpu_cannot_address_is_an_error_that_says_what_fits() {
    let error = Layout::plan(&spec(4 * GIB, 2 * GIB, vec![acpi(GIB), acpi(1 << 40)]), 40).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("window 2") && text.contains("40 physical"), "{text}");
    assert!(text.contains("at most 1017 GiB"), "{text}");
    let error = Layout::plan(&spec(u64::MAX / 4096 * 4096, 2 * GIB, vec![]), 40).unwrap_err();
    assert!(error.to_string().contains("--memory"), "{error}");
}

proptest! {
    #[test]
    fn nothing_overlaps_and_windows_keep_their_alignment(
        size in 1u64..64, low in 1u64..24, sizes in prop::collection::vec((1u64..40, 21u32..33), 0..5)
    ) {
        let windows = sizes.iter().map(|(size, bits)| virtio_mem(*size << *bits, 1 << *bits)).collect();
        let spec = spec(size * 128 * MIB, low * 128 * MIB, windows);
        let layout = Layout::plan(&spec, 46).unwrap();
        let total: u64 = layout.ram.iter().map(|range| range.size).sum();
        prop_assert_eq!(total, spec.memory.size);
        let mut all = layout.ram.clone();
        all.extend(&layout.windows);
        prop_assert!(all.windows(2).all(|pair| pair[0].end() <= pair[1].start));
        for (range, (_, bits)) in layout.windows.iter().zip(&sizes) {
            prop_assert_eq!(range.start % GIB.max(1 << bits), 0);
            prop_assert!(range.start >= HIGH_RAM_START);
        }
    }
}
