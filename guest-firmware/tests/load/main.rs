//! `load` as the VMM calls it: files in, guest memory and registers out. The kernels are made here,
//! byte by byte.

#![expect(clippy::unwrap_used, reason = "in a test, a failed unwrap is a failed test")]

mod bzimage;
mod images;
mod initramfs;
mod vmlinux;

use std::error::Error as _;
use std::io::Write;

use dimmer_guest_firmware::{
    ACPI_SIZE, ACPI_START, Acpi, Boot, CpuState, E820Entry, Error, GENERATION_ID_SIZE, GENERATION_ID_START,
    Image, Kind, ResetRegister, load, write_generation_id,
};
use tempfile::NamedTempFile;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// 64 MiB of low RAM and as much above 4 GiB.
const RAM: [(u64, u64); 2] = [(0, 64 << 20), (4 << 30, 64 << 20)];
/// Persistent memory behind it.
const PMEM: E820Entry = E820Entry { start: (4 << 30) + (64 << 20), size: 32 << 20, kind: Kind::LegacyPmem };
/// Soft-reserved memory behind that.
const SOFT: E820Entry = E820Entry { start: 5 << 30, size: 1 << 30, kind: Kind::SoftReserved };
const CMDLINE: &str = "console=ttyS0 quiet";
const ACPI: Acpi<'static> = Acpi { bytes: b"RSD PTR and so on", base: ACPI_START, rsdp: ACPI_START };
const GENERATION_ID: [u8; GENERATION_ID_SIZE] = *b"generation of it";
const RESET: ResetRegister = ResetRegister { port: 0xb12, value: 1 };

/// An open file with this content.
fn image(content: &[u8]) -> Image {
    let mut file = NamedTempFile::with_suffix(".image").unwrap();
    file.write_all(content).unwrap();
    Image::open(file.path()).unwrap()
}

fn memory() -> GuestMemoryMmap {
    let ranges = RAM.map(|(start, size)| (GuestAddress(start), usize::try_from(size).unwrap()));
    GuestMemoryMmap::from_ranges(&ranges).unwrap()
}

/// Boots a kernel with an initramfs, if there is one, and the usual rest.
fn boot(kernel: &[u8], initramfs: Option<&[u8]>) -> Result<(CpuState, GuestMemoryMmap), Error> {
    let initramfs = initramfs.map(image);
    boot_with(&Boot {
        kernel: &image(kernel),
        initramfs: initramfs.as_ref(),
        cmdline: CMDLINE,
        ram: &RAM,
        ranges: &[PMEM, SOFT],
        acpi: ACPI,
        generation_id: GENERATION_ID,
        reset: RESET,
    })
}

fn boot_with(boot: &Boot<'_>) -> Result<(CpuState, GuestMemoryMmap), Error> {
    let memory = memory();
    load(&memory, boot).map(|state| (state, memory))
}

/// Why this kernel is not booted: the cause below "The kernel … cannot be booted".
fn refusal(kernel: &[u8]) -> String {
    let error = boot(kernel, None).unwrap_err();
    assert!(error.to_string().starts_with("The kernel /"), "{error}");
    error.source().expect("there is a cause").to_string()
}

fn bytes(memory: &GuestMemoryMmap, start: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    memory.read_slice(&mut bytes, GuestAddress(start)).unwrap();
    bytes
}

fn word(memory: &GuestMemoryMmap, start: u64) -> u32 {
    memory.read_obj(GuestAddress(start)).unwrap()
}

fn long(memory: &GuestMemoryMmap, start: u64) -> u64 {
    memory.read_obj(GuestAddress(start)).unwrap()
}

/// What is the same for each kind of kernel.
fn check_common(memory: &GuestMemoryMmap, state: &CpuState) {
    assert_eq!(bytes(memory, 0xf_fff0, 6), [0xba, 0x12, 0x0b, 0xb0, 1, 0xee], "the real-mode reset vector");
    assert_eq!(bytes(memory, 0x2_0000, CMDLINE.len() + 1), [CMDLINE.as_bytes(), b"\0"].concat());
    assert_eq!(bytes(memory, ACPI_START, ACPI.bytes.len()), ACPI.bytes);
    assert_eq!(bytes(memory, GENERATION_ID_START, GENERATION_ID_SIZE), GENERATION_ID);
    let ebda = u64::from(memory.read_obj::<u16>(GuestAddress(0x40e)).unwrap()) << 4;
    assert_eq!(ebda, 0x9_fc00, "the segment of the EBDA");
    let paragraphs = bytes(memory, ebda, 1024);
    let mut paragraphs = paragraphs.chunks(16);
    assert!(paragraphs.any(|paragraph| paragraph.starts_with(b"RSD PTR ")), "no RSDP in the EBDA");
    let code = state.gdt.base + u64::from(state.cs.selector);
    let flags = if state.cs.l { 0x00af_9b00_0000_ffff } else { 0x00cf_9b00_0000_ffff };
    assert_eq!(long(memory, code), flags);
}

#[test]
fn a_text_file_is_no_kernel() {
    let text = b"#!/bin/sh\necho this is not a kernel\n".repeat(100);
    assert!(refusal(&text).starts_with("It is neither a bzImage"), "{}", refusal(&text));
    assert!(refusal(b"x").starts_with("It is neither a bzImage"));
}

#[test]
fn ram_without_low_memory_is_refused() {
    let kernel = image(&images::bzimage());
    let acpi = ACPI;
    for ram in [&[][..], &[(0, 1 << 20)], &[(4 << 30, 1 << 30)]] {
        let error = boot_with(&Boot {
            kernel: &kernel,
            initramfs: None,
            cmdline: "",
            ram,
            ranges: &[],
            acpi,
            generation_id: GENERATION_ID,
            reset: RESET,
        })
        .unwrap_err();
        assert!(matches!(error, Error::NoLowRam), "{error}");
    }
}

#[test]
fn a_command_line_may_be_as_long_as_the_kernel_says_and_no_longer() {
    for (kernel, limit) in [(images::bzimage(), 255), (images::vmlinux(), 2047)] {
        let kernel = image(&kernel);
        let boot = |cmdline: &str| {
            boot_with(&Boot {
                kernel: &kernel,
                initramfs: None,
                cmdline,
                ram: &RAM,
                ranges: &[],
                acpi: ACPI,
                generation_id: GENERATION_ID,
                reset: RESET,
            })
            .map(|_| ())
        };
        boot(&"x".repeat(limit)).unwrap();
        let error = boot(&"x".repeat(limit + 1)).unwrap_err().to_string();
        let expected =
            format!("The command line has {} bytes, and this kernel takes at most {limit}", limit + 1);
        assert_eq!(error, expected);
        assert!(matches!(boot("quiet\0splash").unwrap_err(), Error::CmdlineNul { position: 5 }));
    }
}

#[test]
fn acpi_tables_outside_their_place_are_refused() {
    let kernel = image(&images::bzimage());
    for (base, size) in [(ACPI_START, 0x5_f001), (ACPI_START - 16, 16), (u64::MAX, 2)] {
        let acpi = Acpi { bytes: &vec![1; size], base, rsdp: base };
        let error = boot_with(&Boot {
            kernel: &kernel,
            initramfs: None,
            cmdline: "",
            ram: &RAM,
            ranges: &[],
            acpi,
            generation_id: GENERATION_ID,
            reset: RESET,
        });
        assert!(matches!(error.unwrap_err(), Error::AcpiTooLarge { .. }));
    }
}

/// Tables that take all the room there is leave the generation ID as it is, and it leaves them as they are.
#[test]
fn the_generation_id_lies_behind_the_largest_tables() {
    let tables = vec![0xac; usize::try_from(ACPI_SIZE).unwrap()];
    let acpi = Acpi { bytes: &tables, base: ACPI_START, rsdp: ACPI_START };
    let (_, memory) = boot_with(&Boot {
        kernel: &image(&images::bzimage()),
        initramfs: None,
        cmdline: "",
        ram: &RAM,
        ranges: &[],
        acpi,
        generation_id: GENERATION_ID,
        reset: RESET,
    })
    .unwrap();
    let place = |memory: &GuestMemoryMmap| bytes(memory, GENERATION_ID_START, GENERATION_ID_SIZE);
    assert!(bytes(&memory, ACPI_START, tables.len()) == tables, "the tables differ");
    assert_eq!(place(&memory), GENERATION_ID);
    let before = bytes(&memory, 0, 1 << 20);
    write_generation_id(&memory, *b"the next of them").unwrap();
    assert_eq!(place(&memory), b"the next of them");
    let differ = before.iter().zip(bytes(&memory, 0, 1 << 20)).filter(|(old, new)| *old != new).count();
    assert!(differ <= GENERATION_ID_SIZE, "{differ} bytes differ");
}

#[test]
fn the_same_input_can_be_loaded_again() {
    let (kernel, initramfs) = (image(&images::bzimage()), image(b"070701 and so on"));
    let boot = Boot {
        kernel: &kernel,
        initramfs: Some(&initramfs),
        cmdline: CMDLINE,
        ram: &RAM,
        ranges: &[],
        acpi: ACPI,
        generation_id: GENERATION_ID,
        reset: RESET,
    };
    let (first, second) = (boot_with(&boot).unwrap(), boot_with(&boot).unwrap());
    assert_eq!(first.0, second.0);
    let size = usize::try_from(RAM[0].1).unwrap();
    assert!(bytes(&first.1, 0, size) == bytes(&second.1, 0, size), "low RAM differs");
}
