//! Kernel images: bzImage, and ELF with a PVH note.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use dimmer_guest_firmware::{ACPI_START, Acpi, Boot, GENERATION_ID_SIZE, Image, ResetRegister, load};
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace};

use crate::guest::plain_memory;

const RAM: u64 = 32 << 20;
/// A kernel's RAM begins here, above everything that firmware leaves.
const HIGH: u64 = 1 << 20;

thread_local! {
    /// A file that is written anew for each input.
    static PLACE: (tempfile::TempDir, PathBuf) = {
        let directory = tempfile::tempdir().expect("a directory for an image");
        let path = directory.path().join("kernel");
        (directory, path)
    };
}

pub fn image(bytes: &[u8]) {
    let image = PLACE.with(|(_, path)| {
        let mut file = File::create(path).expect("a file for an image");
        file.write_all(bytes).expect("room for an image");
        Image::open(path)
    });
    let Ok(image) = image else { return assert!(bytes.is_empty(), "a file was not opened") };
    let memory = plain_memory(RAM);
    let memory = memory.memory();
    let boot = Boot {
        kernel: &image,
        initramfs: None,
        cmdline: "quiet",
        ram: &[(0, RAM)],
        ranges: &[],
        acpi: Acpi { bytes: b"RSD PTR and so on", base: ACPI_START, rsdp: ACPI_START },
        generation_id: [7; GENERATION_ID_SIZE],
        reset: ResetRegister { port: 0xb12, value: 1 },
    };
    let Ok(state) = load(&*memory, &boot) else { return };
    for (what, address) in [("the entry", state.rip), ("the GDT", state.gdt.base), ("page tables", state.cr3)]
    {
        assert!(address < RAM, "{what} is at {address:#x}, where there is no RAM");
    }
    if let Some((place, part)) = only_segment(bytes).filter(|(place, _)| *place >= HIGH) {
        let mut there = vec![0; part.len()];
        memory.read_slice(&mut there, GuestAddress(place)).expect("an image that was loaded is in RAM");
        assert!(there == part, "the image's segment is not at {place:#x}");
    }
}

/// Physical address and bytes of the only loadable segment of an ELF file.
fn only_segment(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let number = |at: usize, length: usize| {
        let field = bytes.get(at..at.checked_add(length)?)?;
        Some(field.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)))
    };
    if !bytes.starts_with(b"\x7fELF") {
        return None;
    }
    let (table, count) = (usize::try_from(number(32, 8)?).ok()?, number(56, 2)?);
    let mut found = None;
    for index in 0..usize::try_from(count).ok()? {
        let entry = table.checked_add(index * 56)?;
        if number(entry, 4)? == 1 && number(entry + 32, 8)? > 0 {
            let (from, size) = (number(entry + 8, 8)?, number(entry + 32, 8)?);
            let part = usize::try_from(from).ok()?..usize::try_from(from.checked_add(size)?).ok()?;
            if found.replace((number(entry + 24, 8)?, bytes.get(part)?)).is_some() {
                return None;
            }
        }
    }
    found
}
