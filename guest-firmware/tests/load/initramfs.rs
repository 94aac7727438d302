//! Where the initramfs goes, and when there is no room for it.

use dimmer_guest_firmware::{Boot, Error};

use crate::images::*;
use crate::{ACPI, GENERATION_ID, RESET, boot, boot_with, image, word};

/// Bytes between the bzImage's end and the end of low RAM.
const ROOM: usize = 0x400_0000 - (BZIMAGE_START + BZIMAGE_INIT_SIZE) as usize;

/// Where `boot_params` say the initramfs of this size is.
fn placed(kernel: &[u8], size: usize) -> u32 {
    let (_, memory) = boot(kernel, Some(&vec![7; size])).unwrap();
    word(&memory, 0x7218)
}

#[test]
fn it_ends_as_high_in_low_ram_as_pages_allow() {
    assert_eq!(placed(&bzimage(), 1), 0x3ff_f000);
    assert_eq!(placed(&bzimage(), 0x1000), 0x3ff_f000);
    assert_eq!(placed(&bzimage(), 0x1001), 0x3ff_e000);
}

#[test]
fn it_ends_below_what_the_kernel_can_reach() {
    let mut kernel = bzimage();
    patch(&mut kernel, INITRD_ADDR_MAX, &0x1ff_ffffu32.to_le_bytes());
    assert_eq!(placed(&kernel, 0x2000), 0x1ff_e000);
}

#[test]
fn it_may_fill_all_the_room_beside_the_kernel_and_no_more() {
    assert_eq!(placed(&bzimage(), ROOM), BZIMAGE_START + BZIMAGE_INIT_SIZE);
    let error = boot(&bzimage(), Some(&vec![7; ROOM + 1])).unwrap_err();
    let (Error::InitramfsTooLarge { size, available, ram, .. }, text) = (&error, error.to_string()) else {
        panic!("{error}");
    };
    assert_eq!([*size, *available, *ram], [ROOM as u64 + 1, ROOM as u64, 64 << 20]);
    assert!(text.contains(&size.to_string()) && text.contains(&ram.to_string()), "{text}");
}

#[test]
fn one_larger_than_ram_is_refused_before_anything_is_read() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(1 << 40).unwrap();
    let initramfs = dimmer_guest_firmware::Image::open(file.path()).unwrap();
    let kernel = image(&bzimage());
    let ram = [(0, 64 << 20)];
    let boot = Boot {
        kernel: &kernel,
        initramfs: Some(&initramfs),
        cmdline: "",
        ram: &ram,
        ranges: &[],
        acpi: ACPI,
        generation_id: GENERATION_ID,
        reset: RESET,
    };
    let error = boot_with(&boot).unwrap_err();
    assert!(matches!(error, Error::InitramfsTooLarge { size: 0x100_0000_0000, .. }), "{error}");
}
