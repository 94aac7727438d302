//! The xz format (The .xz File Format, version 1.1.0). lzma-rs reads it, but for the filter that x86
//! kernels are compressed with: before LZMA2, relative addresses of calls and jumps are made absolute,
//! so that calls of one function look alike. Here is the way back.

use std::io::Cursor;

/// Length of the stream header (section 2.1.1).
const STREAM_HEADER: usize = 12;
/// Filter ids (section 5.3).
const X86: u64 = 0x04;
const LZMA2: u64 = 0x21;
/// Bytes of a block's check by the type in the stream header (section 2.1.1.2).
const CHECKS: [usize; 16] = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64];

/// Decompresses a stream.
///
/// # Errors
/// Says what is wrong with it, in words.
pub fn decompress(stream: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    // Not by `lzma_rs::xz_decompress`: it adds up what a damaged index says without a look at the sum.
    blocks(stream, &mut out)?;
    Ok(out)
}

/// Decompresses all blocks. Their checks are not looked at: what is in them has its own structure.
fn blocks(stream: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let cut = || "it is cut short".to_owned();
    let check = CHECKS[usize::from(*stream.get(7).ok_or_else(cut)? & 0xf)];
    let mut at = STREAM_HEADER;
    // Where a block would begin, a zero begins the index of all blocks (section 4.1).
    while *stream.get(at).ok_or_else(cut)? != 0 {
        let filters = filters(stream, at).ok_or_else(cut)?;
        at += header_length(stream[at]);
        let mut compressed = Cursor::new(stream.get(at..).ok_or_else(cut)?);
        let mut block = Vec::new();
        lzma_rs::lzma2_decompress(&mut compressed, &mut block).map_err(|error| format!("{error:?}"))?;
        match filters.as_slice() {
            [LZMA2] => {}
            [X86, LZMA2] => make_relative(&mut block),
            other => return Err(format!("it has filters {other:x?}")),
        }
        out.append(&mut block);
        at += usize::try_from(compressed.position()).unwrap_or(usize::MAX);
        at = at.next_multiple_of(4) + check;
    }
    Ok(())
}

/// Length of a block's header by its first byte (section 3.1.1).
fn header_length(first: u8) -> usize {
    (usize::from(first) + 1) * 4
}

/// Ids of the filters of the block at `at`, in the order in which they were applied (section 3.1);
/// nothing where the header is cut short.
fn filters(stream: &[u8], at: usize) -> Option<Vec<u64>> {
    let first = *stream.get(at)?;
    let mut header = stream.get(at + 1..at + header_length(first))?;
    let flags = take(&mut header, 1)?[0];
    // Compressed and uncompressed size may be there.
    for bit in [6, 7] {
        if flags & (1 << bit) != 0 {
            number(&mut header)?;
        }
    }
    let filter = |_| {
        let id = number(&mut header)?;
        let properties = number(&mut header)?;
        take(&mut header, usize::try_from(properties).ok()?)?;
        Some(id)
    };
    (0..=flags & 3).map(filter).collect()
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

/// A number of seven bits a byte, the lowest first, at most nine bytes (section 1.2).
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// An address that the filter may have changed: its highest byte is a sign.
const fn is_sign(byte: u8) -> bool {
    matches!(byte, 0 | 0xff)
}

/// Makes the addresses of calls and jumps relative again, which the filter made absolute.
///
/// An opcode is five bytes: `E8` or `E9` and an address. The filter leaves alone what overlaps with
/// another possible opcode right before it in a way that it could not undo; `before` has a bit for each
/// of the three bytes before, set where there was one.
fn make_relative(code: &mut [u8]) {
    let mut before = 0_usize;
    let mut last = None;
    let mut at = 0;
    while at + 5 <= code.len() {
        if code[at] & 0xfe != 0xe8 {
            at += 1;
            continue;
        }
        before = match last.map_or(usize::MAX, |last| at - last) {
            distance @ 1..=3 => (before << (distance - 1)) & 7,
            _ => 0,
        };
        last = Some(at);
        if is_sign(code[at + 4]) && may_change(&code[at..at + 5], before) {
            let address = code[at + 1..].first_chunk_mut().expect("five bytes are there");
            let next = u32::try_from(at + 5).expect("no kernel has 4 GiB");
            *address = relative(u32::from_le_bytes(*address), next, before).to_le_bytes();
            at += 5;
        } else {
            before = ((before << 1) & 7) | 1;
            at += 1;
        }
    }
}

/// How many bytes of the address belong to the nearest opcode before it, too, by `before`.
const SHARED: [usize; 8] = [0, 1, 2, 2, 3, 3, 3, 3];

/// Whether the opcodes before let the filter change this one.
fn may_change(opcode: &[u8], before: usize) -> bool {
    match before {
        0 => true,
        1 | 2 | 4 => !is_sign(opcode[4 - SHARED[before]]),
        _ => false,
    }
}

/// The address relative to the `next` opcode. One that would look like an opcode before it was turned
/// around by the filter, which is done again.
fn relative(mut address: u32, next: u32, before: usize) -> u32 {
    let shared = 8 * SHARED[before];
    loop {
        let relative = address.wrapping_sub(next);
        if before == 0 || !is_sign((relative >> (24 - shared)).to_le_bytes()[0]) {
            // 25 bits count; the rest is their sign.
            let sign = if relative & (1 << 24) == 0 { 0 } else { 0xff00_0000 };
            return (relative & 0x00ff_ffff) | sign;
        }
        address = relative ^ u32::MAX >> shared;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_becomes_relative_to_the_opcode_behind_it() {
        let mut code = [0x90, 0xe8, 0x16, 0x20, 0, 0, 0x90, 0x90];
        make_relative(&mut code);
        assert_eq!(code, [0x90, 0xe8, 0x10, 0x20, 0, 0, 0x90, 0x90]);
        let mut backwards = [0xe9, 0x01, 0, 0, 0, 0x90];
        make_relative(&mut backwards);
        assert_eq!(backwards, [0xe9, 0xfc, 0xff, 0xff, 0xff, 0x90]);
    }

    #[test]
    fn what_is_no_address_and_what_is_too_short_stays() {
        for code in [[0xe8, 1, 2, 3, 4, 5].as_slice(), &[0x90, 0xe8, 0, 0, 0], &[]] {
            let mut same = code.to_vec();
            make_relative(&mut same);
            assert_eq!(same, code);
        }
    }

    #[test]
    fn headers_name_their_filters() {
        // Size 12; two filters; x86 without properties, LZMA2 with one byte; padding; checksum.
        let header = [2, 1, 4, 0, 0x21, 1, 0x16, 0, 1, 2, 3, 4];
        assert_eq!(filters(&header, 0), Some(vec![X86, LZMA2]));
        // Both sizes are there, one of two bytes.
        let sizes = [2, 0xc0, 0x80, 1, 5, 0x21, 1, 0x16, 1, 2, 3, 4];
        assert_eq!(filters(&sizes, 0), Some(vec![LZMA2]));
        assert_eq!(filters(&sizes[..8], 0), None);
    }
}
