//! The guest's physical memory on the command line: addresses and bytes in, a dump out.

use std::io::Write;
use std::process::ExitCode;
use std::str::FromStr;

use crate::guest::Guest as Agent;
use dimmer_agent::blocks::BlockList;

use super::verdict;
use crate::commands;
use crate::output::stdout;

/// Bytes of a line of a dump.
const LINE: usize = 16;

/// Bytes written as pairs of hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hex(pub Vec<u8>);

impl FromStr for Hex {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("\"{text}\" is not made of pairs of hexadecimal digits, such as 00c0ffee");
        let digits: Option<Vec<u8>> =
            text.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
        match digits.as_deref().map(<[u8]>::as_chunks) {
            Some((pairs @ [_, ..], [])) => {
                Ok(Self(pairs.iter().map(|[high, low]| high << 4 | low).collect()))
            }
            _ => Err(invalid()),
        }
    }
}

/// Reads an address, in hexadecimal behind `0x` and else in decimal.
pub fn parse_address(text: &str) -> Result<u64, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|error| format!("\"{text}\" is no address, such as 0x180000000: {error}"))
}

/// Prints `count` bytes at `address`.
pub fn peek(agent: &mut Agent, address: u64, count: usize) -> commands::Result {
    match agent.peek(address, count) {
        Ok(bytes) => {
            stdout().write_all(dump(address, &bytes).as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => verdict(error),
    }
}

/// Holds a page and prints where it is.
pub fn pin(agent: &mut Agent, blocks: &BlockList) -> commands::Result {
    match agent.pin(blocks) {
        Ok(pinned) => {
            writeln!(stdout(), "{:#x} in block {}", pinned.address, pinned.block)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => verdict(error),
    }
}

/// Lines of an address and up to [`LINE`] bytes.
fn dump(address: u64, bytes: &[u8]) -> String {
    let line = |(index, bytes): (usize, &[u8])| {
        let bytes: String = bytes.iter().map(|byte| format!(" {byte:02x}")).collect();
        format!("{:016x} {bytes}\n", address + (index * LINE) as u64)
    };
    bytes.chunks(LINE).enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_pairs_of_digits() {
        assert_eq!("00c0FFee".parse(), Ok(Hex(vec![0, 0xc0, 0xff, 0xee])));
        for bad in ["", "0", "123", "0x12", "+1", "g0", "\u{fc}\u{fc}"] {
            assert!(bad.parse::<Hex>().unwrap_err().contains("hexadecimal"), "{bad}");
        }
    }

    #[test]
    fn addresses_are_hexadecimal_or_decimal() {
        assert_eq!(parse_address("0x180000000"), Ok(6 << 30));
        assert_eq!(parse_address("4096"), Ok(4096));
        for bad in ["", "0x", "180000000h", "-1", "0x10000000000000000"] {
            assert!(parse_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_dump_has_sixteen_bytes_a_line() {
        let expected = "\
0000000180000008  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f
0000000180000018  10 11
";
        assert_eq!(dump(0x1_8000_0008, &(0..18).collect::<Vec<u8>>()), expected);
    }
}
