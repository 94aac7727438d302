//! Accesses of any width to registers that are four bytes wide.
//!
//! A read returns the bytes of the one register it starts in, and zeroes behind its end. A write
//! counts only when it covers exactly one register: half a register is no value.

/// First byte of the register that `offset` lies in.
pub(crate) const fn start(offset: u64) -> u64 {
    offset & !3
}

/// Fills `data` from a register that reads `value`, beginning with its byte `offset % 4`.
pub(crate) fn read(value: u32, offset: u64, data: &mut [u8]) {
    let shift = (offset & 3) * 8;
    copy(&(value >> shift).to_le_bytes(), 0, data);
}

/// The value that a write of `data` at `offset` gives to the register there.
pub(crate) fn written(offset: u64, data: &[u8]) -> Option<u32> {
    let bytes = data.try_into().ok().filter(|_| start(offset) == offset)?;
    Some(u32::from_le_bytes(bytes))
}

/// Fills `data` from `bytes[offset..]`, with zeroes behind their end.
pub(crate) fn copy(bytes: &[u8], offset: u64, data: &mut [u8]) {
    let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or(&[]);
    let length = rest.len().min(data.len());
    data[..length].copy_from_slice(&rest[..length]);
    data[length..].fill(0);
}

/// Bits 0-31 of `value`.
pub(crate) const fn low(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Bits 32-63 of `value`.
pub(crate) const fn high(value: u64) -> u32 {
    low(value >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_of_any_width_returns_the_bytes_it_covers() {
        for (offset, width, expected) in [
            (0, 4, vec![1, 2, 3, 4]),
            (1, 1, vec![2]),
            (2, 4, vec![3, 4, 0, 0]),
            (0, 8, vec![1, 2, 3, 4, 0, 0, 0, 0]),
        ] {
            let mut data = vec![0xee; width];
            read(0x0403_0201, offset, &mut data);
            assert_eq!(data, expected, "{width} bytes at {offset}");
        }
    }

    #[test]
    fn only_a_whole_aligned_register_can_be_written() {
        assert_eq!(written(8, &[1, 0, 0, 0]), Some(1));
        assert_eq!(written(9, &[1, 0, 0, 0]), None);
        assert_eq!(written(8, &[1, 0]), None);
        assert_eq!(written(8, &[1, 0, 0, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn copying_from_behind_the_end_gives_zeroes() {
        let mut data = [0xee; 2];
        copy(&[1, 2, 3], 2, &mut data);
        assert_eq!(data, [3, 0]);
        copy(&[1, 2, 3], u64::MAX, &mut data);
        assert_eq!(data, [0, 0]);
    }

    #[test]
    fn halves_of_a_long_word() {
        assert_eq!((low(0x1_2345_6789), high(0x1_2345_6789)), (0x2345_6789, 1));
    }
}
