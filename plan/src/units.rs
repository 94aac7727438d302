//! Byte counts as people write and read them: `4G` in, `4 GiB` out. Inside the machine they are
//! plain `u64`.

use std::fmt;
use std::str::FromStr;

/// Suffix, name and shift of the binary units, largest first.
const UNITS: [(char, &str, u32); 4] =
    [('T', "TiB", 40), ('G', "GiB", 30), ('M', "MiB", 20), ('K', "KiB", 10)];

/// One kibibyte.
pub const KIB: u64 = 1 << 10;
/// One mebibyte.
pub const MIB: u64 = 1 << 20;
/// One gibibyte.
pub const GIB: u64 = 1 << 30;

/// A number of bytes.
///
/// Read from a decimal number with an optional suffix `K`, `M`, `G` or `T` (powers of 1024, either
/// case); shown in the largest unit that leaves a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// Why a text is not a number of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Nothing is there, or something that is not a number with a suffix.
    #[error("not a size: it must be a whole number of bytes, or of K, M, G or T such as 512M or 4G")]
    NotASize,
    /// 2^64 bytes or more.
    #[error("does not fit into 64 bits: it must be less than 16777216T")]
    TooLarge,
}

impl FromStr for Bytes {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let unit = |(suffix, _, shift): &(char, &str, u32)| {
            let digits = text.strip_suffix([*suffix, suffix.to_ascii_lowercase()])?;
            Some((digits, *shift))
        };
        let (digits, shift) = UNITS.iter().find_map(unit).unwrap_or((text, 0));
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SizeError::NotASize);
        }
        // Only digits are left, so the one thing that can go wrong is the range.
        let number: u64 = digits.parse().map_err(|_| SizeError::TooLarge)?;
        number.checked_mul(1 << shift).map(Self).ok_or(SizeError::TooLarge)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |unit: &&(char, &str, u32)| self.0 != 0 && self.0.is_multiple_of(1 << unit.2);
        let text = match UNITS.iter().find(whole) {
            Some((_, name, shift)) => format!("{} {name}", self.0 >> shift),
            None if self.0 == 1 => "1 byte".to_owned(),
            None => format!("{} bytes", self.0),
        };
        formatter.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_read_in_binary_units_of_either_case() {
        let table = [
            ("0", 0),
            ("4096", 4096),
            ("1K", 1 << 10),
            ("512M", 512 << 20),
            ("4G", 4 << 30),
            ("4g", 4 << 30),
            ("1T", 1 << 40),
            ("16777215T", 16_777_215 << 40),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, bytes) in table {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn garbage_is_not_a_size() {
        for text in
            ["", " ", "G", "4 G", " 4G", "4GiB", "4KK", "-1", "+1", "1.5G", "0x10", "four", "4P", "4Ğ"]
        {
            assert_eq!(text.parse::<Bytes>(), Err(SizeError::NotASize), "{text:?}");
        }
    }

    #[test]
    fn what_64_bits_cannot_hold_is_too_large() {
        for text in ["18446744073709551616", "16777216T", "17179869184G", "99999999999999999999999K"] {
            assert_eq!(text.parse::<Bytes>(), Err(SizeError::TooLarge), "{text:?}");
        }
    }

    #[test]
    fn sizes_are_shown_in_the_largest_unit_that_stays_whole() {
        let table = [
            (0, "0 bytes"),
            (1, "1 byte"),
            (4097, "4097 bytes"),
            (4096, "4 KiB"),
            (1536 << 20, "1536 MiB"),
            (4 << 30, "4 GiB"),
            (3 << 40, "3 TiB"),
            (u64::MAX, "18446744073709551615 bytes"),
        ];
        for (bytes, text) in table {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_means_the_same_bytes(number in any::<u64>(), shift in 0u32..64) {
            let bytes = number >> shift << (shift % 41);
            let shown = Bytes(bytes).to_string();
            let (digits, unit) = shown.split_once(' ').expect("a number and a unit");
            let suffix = unit.strip_suffix("iB").unwrap_or("");
            prop_assert_eq!(format!("{digits}{suffix}").parse(), Ok(Bytes(bytes)));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".*") {
            let _ = text.parse::<Bytes>();
        }
    }
}
