//! Memory of a process, as the host counts it.

use std::fs;

use super::Error;

/// Mappings of this size and above are guest memory, smaller ones the program's own: its files, heaps and stacks, whose
/// arenas the C library makes in reserves of just this size, of which little is mapped for use.
const GUEST: u64 = 64 << 20;

/// Memory that a program has for itself, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Its share of what is resident: files that it shares with others in part.
    pub share: u64,
    /// What it has written.
    pub written: u64,
}

/// Memory of the process beside mappings that are guest memory.
pub fn own(pid: u32) -> Result<Own, Error> {
    Ok(sum(&fs::read_to_string(format!("/proc/{pid}/smaps"))?))
}

/// All resident memory of the process.
pub fn resident(pid: u32) -> Result<u64, Error> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages: u64 = text.split(' ').nth(1).ok_or("no resident pages")?.parse()?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// The sum over the mappings of a `/proc/PID/smaps` that are no guest memory.
fn sum(smaps: &str) -> Own {
    let (mut own, mut counts) = (Own::default(), false);
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        let Some(first) = words.next() else { continue };
        if let Some((start, end)) = range(first) {
            counts = end - start < GUEST;
            continue;
        }
        let bytes = words.next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) << 10;
        match first {
            "Pss:" if counts => own.share += bytes,
            "Private_Dirty:" if counts => own.written += bytes,
            _ => {}
        }
    }
    own
}

/// The addresses that begin a mapping's first line.
fn range(word: &str) -> Option<(u64, u64)> {
    let (start, end) = word.split_once('-')?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_memory_is_left_out() {
        let smaps = "\
            00400000-00500000 r-xp 00000000 00:01 7 /bin/x\nSize: 1024 kB\nPss: 100 kB\nPss_Dirty: 9 kB\nPrivate_Dirty: 0 kB\n\
            7f0000000000-7f0040000000 rw-p 00000000 00:00 0\nPss: 900000 kB\nPrivate_Dirty: 900000 kB\n\
            7f0050000000-7f0050021000 rw-p 00000000 00:00 0 [heap]\nPss: 20 kB\nPrivate_Dirty: 16 kB\nVmFlags: rd wr\n";
        assert_eq!(sum(smaps), Own { share: 120 << 10, written: 16 << 10 });
    }

    #[test]
    fn this_process_has_memory() {
        let own = own(std::process::id()).unwrap();
        assert!(own.written > 0 && own.share >= own.written, "{own:?}");
        assert!(resident(std::process::id()).unwrap() > own.written);
    }
}
