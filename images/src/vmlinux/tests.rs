//! Extraction from bzImages made here: a setup header and a payload in each compression.

use proptest::prelude::*;

use super::*;
use crate::elf::sample;

/// A bzImage with one setup sector whose payload starts 16 bytes into the protected-mode code.
fn bzimage(payload: &[u8]) -> Vec<u8> {
    let mut image = vec![0; 2 * 512 + 16];
    image[0x1f1] = 1;
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x206..0x208].copy_from_slice(&0x20fu16.to_le_bytes());
    image[0x20e..0x210].copy_from_slice(&0x100u16.to_le_bytes());
    image[0x248..0x24c].copy_from_slice(&16u32.to_le_bytes());
    image[0x24c..0x250].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
    let version = b"6.1.0-1-cloud (someone) #1";
    image[0x300..0x300 + version.len()].copy_from_slice(version);
    image.extend_from_slice(payload);
    image.extend_from_slice(b"behind the payload");
    image
}

/// A vmlinux of more than one LZ4 block, and with relocations behind it.
fn vmlinux() -> (Vec<u8>, Vec<u8>) {
    let contents: Vec<u8> = (0..LZ4_BLOCK + 100_000).map(|at| u8::try_from(at / 64 % 251).unwrap()).collect();
    let elf = sample(".text", &contents);
    let with_relocations = [elf.as_slice(), &[0, 0, 0, 0, 1, 2, 3, 4]].concat();
    (elf, with_relocations)
}

fn as_lz4(bytes: &[u8]) -> Vec<u8> {
    let mut payload = vec![0x02, 0x21, 0x4c, 0x18];
    for block in bytes.chunks(LZ4_BLOCK) {
        let block = lz4_flex::block::compress(block);
        payload.extend_from_slice(&u32::try_from(block.len()).unwrap().to_le_bytes());
        payload.extend_from_slice(&block);
    }
    payload.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
    payload
}

#[test]
fn vmlinux_comes_out_of_every_compression_without_relocations() {
    let (elf, bytes) = vmlinux();
    let zstd =
        ruzstd::encoding::compress_to_vec(bytes.as_slice(), ruzstd::encoding::CompressionLevel::Fastest);
    let mut xz = Vec::new();
    lzma_rs::xz_compress(&mut bytes.as_slice(), &mut xz).unwrap();
    for (kind, payload) in [("lz4", as_lz4(&bytes)), ("zstd", zstd), ("xz", xz), ("none", bytes)] {
        let extracted = extract(&bzimage(&payload)).unwrap();
        assert!(extracted == elf, "{kind}: {} bytes instead of {}", extracted.len(), elf.len());
    }
}

#[test]
fn the_release_is_the_first_word_of_the_version() {
    let mut image = bzimage(b"");
    assert_eq!(release(&image).unwrap(), "6.1.0-1-cloud");
    image[0x20e..0x210].copy_from_slice(&0u16.to_le_bytes());
    assert_eq!(release(&image), None);
    assert_eq!(release(b"a text file"), None);
}

#[test]
fn what_is_no_bzimage_is_refused() {
    let mut old = bzimage(b"");
    old[0x206..0x208].copy_from_slice(&0x207u16.to_le_bytes());
    for bytes in [b"text".as_slice(), &[0; 4096], &old] {
        assert!(matches!(extract(bytes), Err(Error::NotBzImage)));
    }
    assert!(matches!(extract(&bzimage(b"gzip?")), Err(Error::Unknown { .. })));
    assert!(matches!(extract(&bzimage(&as_lz4(b"not ELF"))), Err(Error::NotElf)));
    let mut short = bzimage(b"payload");
    short.truncate(2 * 512 + 20);
    let text = extract(&short).unwrap_err().to_string();
    assert!(text.contains("at 1040 and 7 bytes long, the file 1044"), "{text}");
}

proptest! {
    #[test]
    fn damage_is_never_a_panic(at in 0usize..3000, value: u8) {
        let elf = sample(".text", &[7; 1000]);
        let mut image = bzimage(&as_lz4(&elf));
        let at = at % image.len();
        image[at] = value;
        let _ = (extract(&image), release(&image));
    }
}
