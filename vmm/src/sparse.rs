//! Files with holes.

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// Where `file` has data within `part`, ascending and apart, as its file system says; what is between reads as zeroes.
///
/// # Errors
/// What the file system says.
pub fn data(file: impl AsFd, part: Range<u64>) -> io::Result<Vec<Range<u64>>> {
    let (mut at, end) = (part.start, part.end);
    let mut found = Vec::new();
    while at < end {
        let start = match seek(&file, SeekFrom::Data(at)) {
            Ok(start) if start < end => start,
            // NXIO: only a hole follows.
            Ok(_) | Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        at = seek(&file, SeekFrom::Hole(start))?.min(end);
        found.push(start..at);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn holes_are_left_out_and_borders_cut() {
        let file = tempfile::tempfile().unwrap();
        const M: u64 = 1 << 20;
        file.set_len(8 * M).unwrap();
        file.write_all_at(&[1; 4096], M).unwrap();
        file.write_all_at(&vec![1; 2 << 20], 4 * M).unwrap();
        assert_eq!(data(&file, 0..8 * M).unwrap(), [M..M + 4096, 4 * M..6 * M]);
        assert_eq!(data(&file, 5 * M..8 * M).unwrap(), [Range { start: 5 * M, end: 6 * M }]);
        assert_eq!(data(&file, 2 * M..4 * M).unwrap(), []);
    }
}
