//! What the host's kernel says of this process's address space: `/proc/self/maps`
//! (Documentation/filesystems/proc.rst).

use std::io;
use std::ops::Range;
use std::path::Path;

use crate::kept;

/// The ranges of addresses that guest memory may lie in, ascending; neighbours are one range: what can be read and written, and shared
/// files that can be read.
///
/// # Errors
/// When the file cannot be read, or is not what the kernel documents.
pub fn reachable() -> io::Result<Vec<Range<u64>>> {
    parse(&kept::text(Path::new(kept::MAPS))?)
}

fn parse(text: &str) -> io::Result<Vec<Range<u64>>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for line in text.lines() {
        let (range, permissions) = parse_line(line).ok_or_else(|| {
            io::Error::other(format!("/proc/self/maps has a line that is no mapping: {line:?}"))
        })?;
        if !(permissions.starts_with("rw") || permissions.starts_with("r--s")) {
            continue;
        }
        match ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => ranges.push(range),
        }
    }
    Ok(ranges)
}

fn parse_line(line: &str) -> Option<(Range<u64>, &str)> {
    let mut words = line.split(' ');
    let (start, end) = words.next()?.split_once('-')?;
    let address = |text| u64::from_str_radix(text, 16).ok();
    Some((address(start)?..address(end)?, words.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_written_or_is_shared_counts_and_neighbours_are_one() {
        let text = "1000-2000 rw-p 00000000 00:00 0 \n\
            2000-3000 rw-s 00000000 00:01 7                          /memfd:dimmer-ram (deleted)\n\
            3000-8000 ---p 00000000 00:00 0 \n\
            8000-9000 r--p 00001000 08:01 42                         /usr/bin/dimmer\n\
            9000-a000 r--s 00000000 08:01 43                         /pmem\n\
            ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";
        assert_eq!(parse(text).unwrap(), [0x1000..0x3000, 0x9000..0xa000]);
    }

    #[test]
    fn what_is_no_mapping_is_an_error() {
        let error = parse("1000-2000 rw-p 0 00:00 0\nmore\n").unwrap_err().to_string();
        assert!(error.contains("\"more\""), "{error}");
    }

    #[test]
    fn the_stack_of_this_test_is_writable() {
        let local = 0_u8;
        let address = std::ptr::from_ref(&local).addr() as u64;
        assert!(reachable().unwrap().iter().any(|range| range.contains(&address)));
    }
}
