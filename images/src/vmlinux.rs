//! The ELF `vmlinux` inside a bzImage. A machine that starts it directly spares the guest its own decompression, which
//! takes longest of all in an emulated host.
//!
//! The setup header (Linux, `Documentation/arch/x86/boot.rst`) says where the compressed payload is; its first bytes say
//! how it is compressed.

use std::io::Read;

use crate::elf::Elf;

mod xz;

/// Why there is no `vmlinux`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a bzImage, or one before protocol 2.08 (Linux 2.6.26), which does not say where its payload is.
    #[error("Not a bzImage with boot protocol 2.08 or later")]
    NotBzImage,
    /// The file ends before what its header promises.
    #[error("The bzImage is cut short: its payload is at {start} and {length} bytes long, the file {size}")]
    Short {
        /// Offset of the payload in the file.
        start: usize,
        /// Its length.
        length: usize,
        /// Length of the file.
        size: usize,
    },
    /// No decompressor for it.
    #[error("The bzImage's payload is compressed in an unknown way: it starts with {magic:02x?}")]
    Unknown {
        /// Its first bytes.
        magic: Vec<u8>,
    },
    /// The payload is damaged.
    #[error("Cannot decompress the bzImage's {kind} payload: {reason}")]
    Damaged {
        /// How it is compressed.
        kind: &'static str,
        /// What the decompressor said.
        reason: String,
    },
    /// Not an ELF file.
    #[error("The bzImage's payload is no 64-bit ELF file")]
    NotElf,
}

/// Largest piece of a legacy LZ4 stream once decompressed (lz4's `LEGACY_BLOCKSIZE`).
const LZ4_BLOCK: usize = 8 << 20;

/// Whether `bytes` begin like a bzImage.
#[must_use]
pub fn is_bzimage(bytes: &[u8]) -> bool {
    bytes.get(0x202..0x206) == Some(b"HdrS")
}

/// The release of the kernel in a bzImage, as in `6.1.0-1-amd64`.
#[must_use]
pub fn release(image: &[u8]) -> Option<String> {
    let pointer = u16::from_le_bytes(*image.get(0x20e..)?.first_chunk()?);
    let text = image.get(0x200 + usize::from(pointer)..)?.split(|byte| *byte == 0).next()?;
    let word = std::str::from_utf8(text).ok()?.split(' ').next()?;
    (pointer != 0 && is_bzimage(image) && !word.is_empty()).then(|| word.to_owned())
}

/// Extracts the ELF file from the bzImage in `image`.
///
/// # Errors
/// [`Error`].
pub fn extract(image: &[u8]) -> Result<Vec<u8>, Error> {
    let mut vmlinux = decompress(payload(image)?)?;
    // Behind the ELF file there are relocations that only the decompressor uses.
    let end = Elf::new(&vmlinux).and_then(Elf::end).ok_or(Error::NotElf)?;
    vmlinux.truncate(usize::try_from(end).unwrap_or(usize::MAX));
    Ok(vmlinux)
}

fn payload(image: &[u8]) -> Result<&[u8], Error> {
    let word = |at: usize| {
        let word = image.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)?;
        usize::try_from(word).ok()
    };
    let version = image.get(0x206..).and_then(|rest| rest.first_chunk()).copied().map(u16::from_le_bytes);
    let (Some(offset), Some(length)) = (word(0x248), word(0x24c)) else { return Err(Error::NotBzImage) };
    if !is_bzimage(image) || version < Some(0x208) {
        return Err(Error::NotBzImage);
    }
    let sectors = match image[0x1f1] {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let start = (sectors + 1) * 512 + offset;
    let short = Error::Short { start, length, size: image.len() };
    image.get(start..).and_then(|rest| rest.get(..length)).ok_or(short)
}

fn decompress(payload: &[u8]) -> Result<Vec<u8>, Error> {
    match payload {
        [0x02, 0x21, 0x4c, 0x18, blocks @ ..] => lz4(blocks),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd(payload),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => xz(payload),
        [0x7f, b'E', b'L', b'F', ..] => Ok(payload.to_vec()),
        _ => Err(Error::Unknown { magic: payload.iter().take(6).copied().collect() }),
    }
}

/// The legacy LZ4 format: blocks behind a `u32` with their length; at the end the kernel appends the whole size.
fn lz4(mut blocks: &[u8]) -> Result<Vec<u8>, Error> {
    let damaged = |reason: String| Error::Damaged { kind: "LZ4", reason };
    let mut out = Vec::new();
    while let Some((length, rest)) = blocks.split_first_chunk().filter(|(_, rest)| !rest.is_empty()) {
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let cut = || damaged(format!("a block of {length} bytes where only {} are left", rest.len()));
        let (block, rest) = rest.split_at_checked(length).ok_or_else(cut)?;
        let block = lz4_flex::block::decompress(block, LZ4_BLOCK);
        out.extend_from_slice(&block.map_err(|error| damaged(error.to_string()))?);
        blocks = rest;
    }
    Ok(out)
}

fn zstd(payload: &[u8]) -> Result<Vec<u8>, Error> {
    let damaged = |reason: String| Error::Damaged { kind: "Zstandard", reason };
    let mut out = Vec::new();
    let decoder = ruzstd::decoding::StreamingDecoder::new(payload);
    let mut decoder = decoder.map_err(|error| damaged(error.to_string()))?;
    decoder.read_to_end(&mut out).map_err(|error| damaged(error.to_string()))?;
    Ok(out)
}

/// Decompresses xz, also that of kernel modules.
pub(crate) fn xz(payload: &[u8]) -> Result<Vec<u8>, Error> {
    xz::decompress(payload).map_err(|reason| Error::Damaged { kind: "xz", reason })
}

#[cfg(test)]
mod tests;
