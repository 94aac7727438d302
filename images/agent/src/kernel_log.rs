//! The kernel's log, read from /dev/kmsg (Documentation/ABI/testing/dev-kmsg).

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::protocol::{KernelLog, Record};

/// Longer than any record: 1 KiB of text, where an escaped byte takes four, and its dictionary.
const RECORD: usize = 16 << 10;

/// The records of `device` (/dev/kmsg) from number `since` on that the kernel still keeps.
///
/// # Errors
/// Those of opening and reading it.
pub fn read(device: &Path, since: u64) -> io::Result<KernelLog> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(device)?;
    collect(&mut file, since)
}

/// Every read gives one record; `EAGAIN` is the end, `EPIPE` says that records were overwritten
/// before they could be read.
fn collect(source: &mut impl Read, since: u64) -> io::Result<KernelLog> {
    let mut log = KernelLog { records: Vec::new(), next: since };
    let mut buffer = vec![0; RECORD];
    loop {
        let length = match source.read(&mut buffer) {
            Ok(0) => return Ok(log),
            Ok(length) => length,
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::AGAIN) => return Ok(log),
                Some(Errno::PIPE | Errno::INTR) => continue,
                _ => return Err(error),
            },
        };
        let record = parse(&String::from_utf8_lossy(&buffer[..length]));
        if let Some(record) = record.filter(|record| record.seq >= since) {
            log.next = record.seq + 1;
            log.records.push(record);
        }
    }
}

/// A record such as `6,339,5140900,-;Text` and, on further lines, its dictionary.
fn parse(text: &str) -> Option<Record> {
    let (prefix, message) = text.split_once(';')?;
    let mut fields = prefix.split(',');
    let priority: u32 = fields.next()?.parse().ok()?;
    let seq = fields.next()?.parse().ok()?;
    let time_us = fields.next()?.parse().ok()?;
    let level = u8::try_from(priority & 7).expect("three bits fit");
    Some(Record { seq, level, time_us, text: unescape(message.lines().next().unwrap_or_default()) })
}

/// Undoes `\xNN`, by which the kernel writes control characters, backslashes and bytes that are
/// not ASCII.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let escaped = behind.strip_prefix(b"x").and_then(|digits| digits.get(..2));
        let escaped = escaped.and_then(|digits| str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| byte == b'\\') {
            Some(original) => {
                bytes.push(original);
                rest = &behind[3..];
            }
            None => {
                bytes.push(byte);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one item per read, as /dev/kmsg does.
    struct Device(std::vec::IntoIter<Result<&'static str, Errno>>);

    impl Read for Device {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let text = self.0.next().unwrap_or(Err(Errno::AGAIN))?;
            buffer[..text.len()].copy_from_slice(text.as_bytes());
            Ok(text.len())
        }
    }

    fn log(items: Vec<Result<&'static str, Errno>>, since: u64) -> KernelLog {
        collect(&mut Device(items.into_iter()), since).unwrap()
    }

    #[test]
    fn a_record_is_taken_apart() {
        let log = log(vec![Ok("30,339,5140900,-;Built 1 zonelists\n SUBSYSTEM=acpi\n DEVICE=+acpi:x\n")], 0);
        let expected = Record { seq: 339, level: 6, time_us: 5140900, text: "Built 1 zonelists".into() };
        assert_eq!(log, KernelLog { records: vec![expected], next: 340 });
    }

    #[test]
    fn reading_goes_on_behind_overwritten_records() {
        let log = log(vec![Err(Errno::PIPE), Ok("6,9,1,-;a\n"), Ok("4,10,2,-;b;c\n")], 0);
        assert_eq!(log.records.iter().map(|record| record.seq).collect::<Vec<_>>(), [9, 10]);
        assert_eq!(log.records[1].text, "b;c");
    }

    #[test]
    fn only_what_is_new_comes_again() {
        let items = || vec![Ok("6,1,1,-;a\n"), Ok("6,2,2,-;b\n")];
        assert_eq!(log(items(), 2).records.len(), 1);
        assert_eq!(log(items(), 3), KernelLog { records: vec![], next: 3 });
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(unescape(r"tab\x09 back\x5c \xc3\xbc"), "tab\t back\\ ü");
        assert_eq!(unescape(r"no escape: \x4 \q x41"), r"no escape: \x4 \q x41");
    }
}
