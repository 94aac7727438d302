//! ELF kernels: the PVH entry, `hvm_start_info`, and the damaged ones.

use proptest::prelude::*;

use crate::images::*;
use crate::{ACPI, PMEM, RAM, SOFT, boot, bytes, check_common, long, refusal, word};

fn patched(offset: usize, value: &[u8]) -> Vec<u8> {
    let mut image = vmlinux();
    patch(&mut image, offset, value);
    image
}

/// The note with the PVH entry point.
fn pvh_note() -> Segment {
    notes(&[note(b"Xen\0", 18, &PVH_ENTRY.to_le_bytes())])
}

#[test]
fn a_vmlinux_is_entered_in_32_bit_mode() {
    let (state, memory) = boot(&vmlinux(), None).unwrap();
    assert_eq!((state.rip, state.rbx, state.rsi), (PVH_ENTRY.into(), 0x6000, 0));
    assert_eq!((state.cr0 & (1 << 31), state.cs.l, state.cs.db), (0, false, true));
    assert_eq!(bytes(&memory, VMLINUX_START, 32), VMLINUX_TEXT);
    assert_eq!(bytes(&memory, VMLINUX_START + 0x1000, 16), [0xda; 16]);
    check_common(&memory, &state);
}

#[test]
fn start_info_says_where_everything_is() {
    let (state, memory) = boot(&vmlinux(), Some(&[0x55; 5000])).unwrap();
    let info = state.rbx;
    assert_eq!([0, 4, 8, 12].map(|offset| word(&memory, info + offset)), [0x336e_c578, 1, 0, 1]);
    let module = long(&memory, info + 16);
    assert_eq!(long(&memory, info + 24), 0x2_0000, "the command line");
    assert_eq!(long(&memory, info + 32), ACPI.rsdp);
    let (start, size) = (long(&memory, module), long(&memory, module + 8));
    assert_eq!((start, size), (0x400_0000 - 0x2000, 5000), "the initramfs");
    assert_eq!(bytes(&memory, start, 5000), [0x55; 5000]);
}

#[test]
fn start_info_carries_the_memory_map() {
    let (state, memory) = boot(&vmlinux(), None).unwrap();
    let (map, count) = (long(&memory, state.rbx + 40), word(&memory, state.rbx + 48));
    assert_eq!(count, 6);
    let entries: Vec<_> = (0..6)
        .map(|index| map + index * 24)
        .map(|at| (long(&memory, at), long(&memory, at + 8), word(&memory, at + 16)))
        .collect();
    let expected = [
        (0, 0x9_fc00, 1),
        (0x9_fc00, 0x6_0400, 2),
        (0x10_0000, RAM[0].1 - 0x10_0000, 1),
        (4 << 30, RAM[1].1, 1),
        (PMEM.start, PMEM.size, 12),
        (SOFT.start, SOFT.size, 0xefff_ffff),
    ];
    assert_eq!(entries, expected);
    assert_eq!(word(&memory, state.rbx + 12), 0, "no module without an initramfs");
}

#[test]
fn a_vmlinux_without_pvh_names_the_option_that_it_needs() {
    for segments in [
        vec![loaded(VMLINUX_START, &VMLINUX_TEXT, 32)],
        vec![loaded(VMLINUX_START, &VMLINUX_TEXT, 32), notes(&[note(b"GNU\0", 18, &[0; 4])])],
    ] {
        let error = refusal(&elf(&segments));
        assert!(error.contains("CONFIG_PVH=y"), "{error}");
    }
}

#[test]
fn an_entry_point_must_be_in_the_kernel() {
    for entry in [VMLINUX_START - 1, VMLINUX_START + 32, 0x3a00_0000] {
        let note = note(b"Xen\0", 18, &u32::try_from(entry).unwrap().to_le_bytes());
        let error = refusal(&elf(&[loaded(VMLINUX_START, &VMLINUX_TEXT, 32), notes(&[note])]));
        assert_eq!(error, format!("Its entry point is at {entry:#x}, where nothing of it is loaded"));
    }
}

#[test]
fn a_truncated_vmlinux_says_how_much_is_missing() {
    let whole = vmlinux();
    let error = refusal(&whole[..whole.len() - 1]);
    let (announced, actual) = (whole.len(), whole.len() - 1);
    assert_eq!(
        error,
        format!("It is truncated: its headers announce {announced} bytes, and the file has {actual}")
    );
    for size in 4..whole.len() {
        assert!(refusal(&whole[..size]).starts_with("It is truncated"), "{size}");
    }
    assert!(refusal(&whole[..3]).starts_with("It is neither"));
}

#[test]
fn an_elf_file_for_another_machine_is_refused() {
    for (offset, value) in [(ELF_CLASS, 1), (ELF_CLASS + 1, 2), (ELF_MACHINE, 183)] {
        let error = refusal(&patched(offset, &[value]));
        assert!(error.starts_with("It is an ELF file, but not a little-endian one"), "{error}");
    }
}

#[test]
fn damaged_headers_are_refused() {
    let elf = |segment| refusal(&elf(&[segment, pvh_note()]));
    for (error, expected) in [
        (
            refusal(&patched(ELF_PHENTSIZE, &[55])),
            "Its headers are damaged: the size of a program header is 0x37",
        ),
        (elf(loaded(0x9000, &[1; 8], 8)), "It wants to be loaded at 0x9000"),
        (
            elf(loaded(VMLINUX_START, &[1; 8], 7)),
            "Its headers are damaged: the size of a segment in memory is 0x7",
        ),
        (elf(loaded(VMLINUX_START, &[1; 8], 1 << 40)), "It needs RAM up to address 0x10001000000"),
        (elf(loaded(u64::MAX, &[1; 8], 8)), "It needs RAM up to address 0xffffffffffffffff"),
        (elf(notes(&[vec![0; 0x1_0001]])), "Its headers are damaged: the size of a note segment is 0x10001"),
        (elf(loaded(0, &[], 0)), "Its headers are damaged: the number of program headers to load is 0x0"),
    ] {
        assert!(error.starts_with(expected), "{error}");
    }
}

proptest! {
    /// Whatever is in the headers and the notes, `load` answers.
    #[test]
    fn damaged_headers_are_never_a_panic(
        damage in prop::collection::vec((4usize..330, any::<u8>()), 1..8),
        cut in 0usize..100,
    ) {
        let mut image = vmlinux();
        for (offset, value) in damage {
            if let Some(byte) = image.get_mut(offset) {
                *byte = value;
            }
        }
        image.truncate(image.len() - cut.min(image.len() - 4));
        if let Ok((state, _)) = boot(&image, Some(b"initramfs")) {
            prop_assert_eq!(state.rbx, 0x6000);
        }
    }
}
