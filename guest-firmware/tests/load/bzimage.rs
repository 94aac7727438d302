//! bzImages: the 64-bit entry, `boot_params`, and the damaged ones.

use proptest::prelude::*;

use crate::images::*;
use crate::{ACPI, PMEM, RAM, SOFT, boot, bytes, check_common, long, refusal, word};

/// A bzImage with other bytes at `offset`.
fn patched(offset: usize, value: &[u8]) -> Vec<u8> {
    let mut image = bzimage();
    patch(&mut image, offset, value);
    image
}

#[test]
fn a_bzimage_is_entered_in_64_bit_mode() {
    let (state, memory) = boot(&bzimage(), None).unwrap();
    assert_eq!((state.rip, state.rsi), (u64::from(BZIMAGE_START) + 0x200, 0x7000));
    assert!(state.cs.l);
    assert_eq!((state.cs.selector, state.ds.selector), (0x10, 0x18));
    assert_eq!(bytes(&memory, BZIMAGE_START.into(), 64), BZIMAGE_PAYLOAD);
    // PML4, PDPT and the second large page.
    assert_eq!([0x9000, 0xa000, 0xb008].map(|at| long(&memory, at)), [0xa003, 0xb003, 0x20_0083]);
    check_common(&memory, &state);
}

#[test]
fn boot_params_say_where_everything_is() {
    let (_, memory) = boot(&bzimage(), Some(&[0x55; 5000])).unwrap();
    let params = 0x7000;
    assert_eq!(long(&memory, params + 0x70), ACPI.rsdp);
    assert_eq!(bytes(&memory, params + MAGIC as u64, 4), b"HdrS");
    assert_eq!(bytes(&memory, params + 0x210, 1), [0xff], "a boot loader without a number");
    assert_eq!(word(&memory, params + 0x228), 0x2_0000, "the command line");
    let (start, size) = (word(&memory, params + 0x218), word(&memory, params + 0x21c));
    assert_eq!((start, size), (0x400_0000 - 0x2000, 5000), "the initramfs");
    assert_eq!(bytes(&memory, start.into(), 5000), [0x55; 5000]);
}

#[test]
fn boot_params_carry_the_memory_map() {
    let (_, memory) = boot(&bzimage(), None).unwrap();
    let params = 0x7000;
    assert_eq!(bytes(&memory, params + 0x1e8, 1), [6], "entries");
    let entries: Vec<_> = (0..6)
        .map(|index| params + 0x2d0 + index * 20)
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
}

#[test]
fn no_initramfs_is_said_to_be_nowhere() {
    let (_, memory) = boot(&bzimage(), None).unwrap();
    assert_eq!((word(&memory, 0x7218), word(&memory, 0x721c)), (0, 0));
}

#[test]
fn zero_setup_sectors_stand_for_four() {
    let mut image = patched(SETUP_SECTS, &[0]);
    image.splice(512..512, [0; 512]);
    // The header's end, which the sector pushed aside.
    let header = bzimage()[512..1024].to_vec();
    patch(&mut image, 512, &header);
    let (_, memory) = boot(&image, None).unwrap();
    assert_eq!(bytes(&memory, BZIMAGE_START.into(), 64), BZIMAGE_PAYLOAD);
}

#[test]
fn what_follows_the_kernel_in_the_file_does_no_harm() {
    let mut image = bzimage();
    image.extend([0x99; 100]);
    assert!(boot(&image, None).is_ok());
}

#[test]
fn a_truncated_bzimage_says_how_much_is_missing() {
    let whole = bzimage();
    let error = refusal(&whole[..whole.len() - 1]);
    assert_eq!(error, "It is truncated: its headers announce 2112 bytes, and the file has 2111");
    for size in [0x206, 0x207, 0x230, 0x270, 1024] {
        assert!(refusal(&whole[..size]).starts_with("It is truncated"), "{size}");
    }
    assert!(refusal(&whole[..0x205]).starts_with("It is neither"));
}

#[test]
fn old_and_32_bit_kernels_are_told_from_damaged_ones() {
    let error = refusal(&patched(VERSION, &0x020bu16.to_le_bytes()));
    assert!(error.starts_with("It speaks version 2.11 of the Linux boot protocol"), "{error}");
    let error = refusal(&patched(XLOADFLAGS, &0u16.to_le_bytes()));
    assert!(error.starts_with("It is a bzImage without a 64-bit entry point"), "{error}");
}

#[test]
fn a_kernel_larger_than_ram_is_refused_with_both_addresses() {
    let error = refusal(&patched(INIT_SIZE, &(48u32 << 20).wrapping_add(1).to_le_bytes()));
    assert_eq!(error, "It needs RAM up to address 0x4000001 to start, and low RAM ends at 0x4000000");
    assert!(boot(&patched(INIT_SIZE, &(48u32 << 20).to_le_bytes()), None).is_ok());
}

#[test]
fn damaged_addresses_and_sizes_are_refused() {
    for (offset, value, error) in [
        (PREF_ADDRESS, 0xf_ffff_u64, "It wants to be loaded at 0xfffff"),
        (PREF_ADDRESS, u64::MAX, "Its headers are damaged: pref_address is 0xffffffffffffffff"),
        (PREF_ADDRESS, 1 << 40, "It needs RAM up to address 0x10000100000"),
        (INIT_SIZE, 63, "Its headers are damaged: init_size is 0x3f"),
        (INIT_SIZE, 0x200, "Its entry point is at 0x1000200, where nothing of it is loaded"),
    ] {
        let width = if offset == INIT_SIZE { 4 } else { 8 };
        let said = refusal(&patched(offset, &value.to_le_bytes()[..width]));
        assert!(said.starts_with(error), "{said}");
    }
}

proptest! {
    /// Whatever is in the header, `load` answers.
    #[test]
    fn a_damaged_header_is_never_a_panic(
        damage in prop::collection::vec((0x1f1usize..0x280, any::<u8>()), 1..8),
        size in 0x200usize..2200,
    ) {
        let mut image = bzimage();
        for (offset, value) in damage {
            image[offset] = value;
        }
        image.resize(size, 0x77);
        if let Ok((state, _)) = boot(&image, Some(b"initramfs")) {
            prop_assert!(state.rip < RAM[0].1);
        }
    }
}
