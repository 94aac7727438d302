//! Files of the host's kernel that are read while the machine runs: opened once, so that a machine in its sandbox opens none.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use dimmer_devices::bus::lock;

/// What the host's kernel says of this process's address space.
pub const MAPS: &str = "/proc/self/maps";
/// What it says of this process.
pub const STATUS: &str = "/proc/self/status";
/// What it says of each page.
pub const PAGEMAP: &str = "/proc/self/pagemap";
/// What it says of its huge pages.
const HUGE: &str = "/sys/kernel/mm/hugepages";

static FILES: Mutex<BTreeMap<PathBuf, File>> = Mutex::new(BTreeMap::new());

/// Opens all of them. What is not there now is not there later.
///
/// # Errors
/// What the host says.
pub fn keep_all() -> io::Result<()> {
    let mut paths: Vec<_> = [MAPS, STATUS, PAGEMAP].map(PathBuf::from).to_vec();
    for pool in fs::read_dir(HUGE).into_iter().flatten() {
        let pool = pool?.path();
        paths.extend(["free", "resv", "nr"].map(|what| pool.join(format!("{what}_hugepages"))));
    }
    for path in paths {
        match File::open(&path) {
            Ok(file) => drop(lock(&FILES).insert(path, file)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        }
    }
    Ok(())
}

/// The file at `path`, which is read by place.
///
/// # Errors
/// What the host says.
pub fn file(path: &Path) -> io::Result<File> {
    match lock(&FILES).get(path) {
        Some(file) => file.try_clone(),
        None => File::open(path),
    }
}

/// What is in the file at `path` now.
///
/// # Errors
/// What the host says, or that it is no text.
pub fn text(path: &Path) -> io::Result<String> {
    let files = lock(&FILES);
    match files.get(path) {
        // Itself, not a descriptor of its own: not every thread may have one.
        Some(file) => whole(file),
        None if files.is_empty() => whole(&File::open(path)?),
        None => Err(ErrorKind::NotFound.into()),
    }
}

fn whole(file: &File) -> io::Result<String> {
    let (mut text, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        let read = file.read_at(&mut buffer, text.len() as u64)?;
        if read == 0 {
            return String::from_utf8(text).map_err(io::Error::other);
        }
        text.extend(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    use vm_memory::{FileOffset, MmapRegion};

    use super::*;

    #[test]
    fn what_is_kept_is_read_as_it_is_now() {
        keep_all().unwrap();
        let before = text(Path::new(MAPS)).unwrap();
        let memory = File::from(rustix::fs::memfd_create("kept", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
        memory.set_len(4096).unwrap();
        let mapped = MmapRegion::<()>::from_file(FileOffset::new(memory, 0), 4096).unwrap();
        let after = text(Path::new(MAPS)).unwrap();
        assert!(!before.contains("memfd:kept") && after.contains("memfd:kept"));
        drop(mapped);
    }
}
