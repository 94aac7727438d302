//! Small kernels: sound ones, for the tests to damage.

/// Where the bzImage wants to be, and how much memory it needs there.
pub const BZIMAGE_START: u32 = 0x100_0000;
pub const BZIMAGE_INIT_SIZE: u32 = 0x10_0000;
/// The part of the bzImage that is loaded.
pub const BZIMAGE_PAYLOAD: [u8; 64] = [0xb2; 64];
/// Number of setup sectors behind the first.
const SETUP_SECTORS: u8 = 3;

/// Places of setup header fields in a bzImage.
pub const SETUP_SECTS: usize = 0x1f1;
pub const SYSSIZE: usize = 0x1f4;
pub const MAGIC: usize = 0x202;
pub const VERSION: usize = 0x206;
pub const XLOADFLAGS: usize = 0x236;
pub const PREF_ADDRESS: usize = 0x258;
pub const INIT_SIZE: usize = 0x260;
pub const INITRD_ADDR_MAX: usize = 0x22c;

/// Overwrites what is at `offset`.
pub fn patch(image: &mut [u8], offset: usize, bytes: &[u8]) {
    image[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// A bzImage with boot protocol 2.15 and a 64-bit entry point.
pub fn bzimage() -> Vec<u8> {
    let mut image = vec![0; (usize::from(SETUP_SECTORS) + 1) * 512];
    image.extend(BZIMAGE_PAYLOAD);
    patch(&mut image, SETUP_SECTS, &[SETUP_SECTORS]);
    patch(&mut image, SYSSIZE, &4u32.to_le_bytes());
    patch(&mut image, 0x1fe, &[0x55, 0xaa]);
    patch(&mut image, MAGIC, b"HdrS");
    patch(&mut image, VERSION, &0x020fu16.to_le_bytes());
    patch(&mut image, 0x211, &[1]); // loaded high
    patch(&mut image, INITRD_ADDR_MAX, &0x7fff_ffffu32.to_le_bytes());
    patch(&mut image, 0x230, &0x20_0000u32.to_le_bytes()); // kernel_alignment
    patch(&mut image, 0x234, &[1]); // relocatable
    patch(&mut image, XLOADFLAGS, &1u16.to_le_bytes());
    patch(&mut image, 0x238, &255u32.to_le_bytes()); // cmdline_size
    patch(&mut image, PREF_ADDRESS, &u64::from(BZIMAGE_START).to_le_bytes());
    patch(&mut image, INIT_SIZE, &BZIMAGE_INIT_SIZE.to_le_bytes());
    image
}

/// Places of ELF header fields.
pub const ELF_CLASS: usize = 4;
pub const ELF_MACHINE: usize = 18;
pub const ELF_PHENTSIZE: usize = 54;

/// One segment of an ELF file.
pub struct Segment {
    pub kind: u32,
    pub address: u64,
    pub memory_size: u64,
    pub content: Vec<u8>,
}

pub const LOADED: u32 = 1;
pub const NOTE: u32 = 4;

/// An ELF file for x86-64 of these segments.
pub fn elf(segments: &[Segment]) -> Vec<u8> {
    let mut image = b"\x7fELF\x02\x01\x01".to_vec();
    image.resize(16, 0);
    image.extend(2u16.to_le_bytes()); // executable
    image.extend(62u16.to_le_bytes()); // x86-64
    image.extend(1u32.to_le_bytes());
    image.extend([0x100_0000u64, 64, 0].into_iter().flat_map(u64::to_le_bytes)); // entry, headers
    image.extend(0u32.to_le_bytes());
    let count = u16::try_from(segments.len()).unwrap();
    image.extend([64, 56, count, 0, 0, 0].into_iter().flat_map(u16::to_le_bytes));
    let mut offset = 64 + 56 * u64::from(count);
    for segment in segments {
        let size = segment.content.len() as u64;
        image.extend([segment.kind, 7].into_iter().flat_map(u32::to_le_bytes));
        let fields = [offset, 0, segment.address, size, segment.memory_size, 4];
        image.extend(fields.into_iter().flat_map(u64::to_le_bytes));
        offset += size;
    }
    segments.iter().for_each(|segment| image.extend(&segment.content));
    image
}

/// Where the vmlinux's first segment is, and what is in it.
pub const VMLINUX_START: u64 = 0x100_0000;
pub const VMLINUX_TEXT: [u8; 32] = [0xe1; 32];
/// Its PVH entry point.
pub const PVH_ENTRY: u32 = 0x100_0010;

/// A note as it is in an ELF file: name and content are padded to multiples of four bytes.
pub fn note(name: &[u8], kind: u32, content: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap();
    let mut note: Vec<u8> =
        [length(name), length(content), kind].into_iter().flat_map(u32::to_le_bytes).collect();
    for bytes in [name, content] {
        note.extend(bytes);
        note.resize(note.len().next_multiple_of(4), 0);
    }
    note
}

/// A segment that is loaded.
pub fn loaded(address: u64, content: &[u8], memory_size: u64) -> Segment {
    Segment { kind: LOADED, address, memory_size, content: content.to_vec() }
}

/// A segment of notes.
pub fn notes(notes: &[Vec<u8>]) -> Segment {
    Segment { kind: NOTE, address: 0, memory_size: 0, content: notes.concat() }
}

/// A vmlinux with two loaded segments, and its PVH entry point behind another note.
pub fn vmlinux() -> Vec<u8> {
    elf(&[
        loaded(VMLINUX_START, &VMLINUX_TEXT, 32),
        loaded(VMLINUX_START + 0x1000, &[0xda; 16], 0x2000),
        notes(&[note(b"GNU\0", 3, &[7; 20]), note(b"Xen\0", 18, &PVH_ENTRY.to_le_bytes())]),
    ])
}
