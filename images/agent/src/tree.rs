//! The kernel's files below a root, which is `/` in a guest and a captured tree in a test, and the
//! layout report that is read from them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{Mode, OFlags, RawDir, openat};
use rustix::io::Errno;

use crate::report::{Block, BlockState, Layout};
use crate::{pending, zoneinfo};

/// Where the memory blocks are.
const MEMORY: &str = "sys/devices/system/memory";
/// Where the policy's parameters are, `auto_online_blocks` excepted.
const PARAMETERS: &str = "sys/module/memory_hotplug/parameters";

/// Longest content of a block's file: `valid_zones` with every zone there is, and room to spare.
const WORDS: usize = 256;

/// The kernel's files below a root.
#[derive(Debug, Clone)]
pub struct Tree {
    root: PathBuf,
}

/// Why no layout can be reported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that every kernel with memory hotplug has could not be read.
    #[error("Cannot read {path}")]
    Read {
        /// The file, from the root.
        path: String,
        /// What the kernel said.
        #[source]
        cause: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} holds \"{text}\", which is no number")]
    Number {
        /// The file, from the root.
        path: String,
        /// Its content.
        text: String,
    },
}

impl Tree {
    /// The tree below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The absolute path of `path`, which is relative to the root.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// The content of the file at `path` without the line's end.
    ///
    /// # Errors
    /// Those of opening and reading it.
    pub fn read(&self, path: &str) -> io::Result<String> {
        let text = fs::read(self.path(path))?;
        Ok(String::from_utf8_lossy(text.trim_ascii_end()).into_owned())
    }

    /// Writes `value` to the existing file at `path` with one write(2), so that the kernel's answer
    /// is the result.
    ///
    /// # Errors
    /// The kernel's refusal, or that of opening the file.
    pub fn write(&self, path: &str, value: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(self.path(path))?;
        match file.write(value.as_bytes())? {
            written if written == value.len() => Ok(()),
            written => Err(io::Error::other(format!("only {written} of {} bytes were taken", value.len()))),
        }
    }

    /// The numbers behind `prefix` in the names of the entries of the directory at `path`.
    ///
    /// # Errors
    /// Those of reading the directory.
    pub fn numbers(&self, path: &str, prefix: &str) -> io::Result<Vec<u64>> {
        let names = fs::read_dir(self.path(path))?.map(|entry| Ok(entry?.file_name()));
        let names = names.collect::<io::Result<Vec<_>>>()?;
        Ok(names.iter().filter_map(|name| number_behind(prefix, name.to_str()?)).collect())
    }

    /// Reads the layout as the kernel shows it now. Blocks may come and go meanwhile; one that
    /// vanishes under way is left out.
    ///
    /// # Errors
    /// When a file that says what the guest's memory is cannot be read or understood.
    pub fn layout(&self) -> Result<Layout, Error> {
        let meminfo = self.read("proc/meminfo").unwrap_or_default();
        let blocks = self.blocks()?;
        let going = blocks.iter().filter(|block| block.state == BlockState::GoingOffline);
        let mut pending: Vec<_> =
            going.map(|block| format!("block {} is going offline", block.index)).collect();
        pending.extend(pending::kernel_threads(self.stats()));
        Ok(Layout {
            kernel: self.required("proc/sys/kernel/osrelease")?,
            block_size: self.block_size()?,
            auto_online_blocks: self.read(&format!("{MEMORY}/auto_online_blocks")).ok(),
            online_policy: self.parameter("online_policy"),
            auto_movable_ratio: self.parameter("auto_movable_ratio").and_then(|ratio| ratio.parse().ok()),
            auto_movable_numa_aware: self.parameter("auto_movable_numa_aware").map(|flag| flag == "Y"),
            blocks,
            zones: zoneinfo::parse(&self.required("proc/zoneinfo")?),
            mem_total_kb: kilobytes(&meminfo, "MemTotal"),
            hardware_corrupted_kb: kilobytes(&meminfo, "HardwareCorrupted"),
            groups_unknown: None,
            pending,
        })
    }

    /// The stat lines of all processes, ascending by their ids. One that ends while it is looked at is left out.
    fn stats(&self) -> impl Iterator<Item = String> {
        let mut ids = self.numbers("proc", "").unwrap_or_default();
        ids.sort_unstable();
        ids.into_iter().filter_map(|id| self.read(&format!("proc/{id}/stat")).ok())
    }

    fn required(&self, path: &str) -> Result<String, Error> {
        self.read(path).map_err(|cause| Error::Read { path: path.to_owned(), cause })
    }

    fn parameter(&self, name: &str) -> Option<String> {
        self.read(&format!("{PARAMETERS}/{name}")).ok()
    }

    /// Bytes of a memory block. The kernel shows them in hexadecimal without a prefix.
    ///
    /// # Errors
    /// [`Error`].
    pub fn block_size(&self) -> Result<u64, Error> {
        let path = format!("{MEMORY}/block_size_bytes");
        let text = self.required(&path)?;
        u64::from_str_radix(&text, 16).map_err(|_| Error::Number { path, text })
    }

    fn blocks(&self) -> Result<Vec<Block>, Error> {
        let failed = |cause| Error::Read { path: MEMORY.to_owned(), cause };
        let mut indices = self.numbers(MEMORY, "memory").map_err(failed)?;
        indices.sort_unstable();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let memory = rustix::fs::open(self.path(MEMORY), flags, Mode::empty())
            .map_err(|error| failed(error.into()))?;
        let blocks = indices.into_iter().filter_map(|index| block(memory.as_fd(), index).transpose());
        blocks.collect::<io::Result<_>>().map_err(failed)
    }
}

/// Block `index` below the directory `memory`; `None` when it is no more.
fn block(memory: BorrowedFd<'_>, index: u64) -> io::Result<Option<Block>> {
    match read_block(memory, index) {
        Ok(block) => Ok(Some(block)),
        Err(Errno::NOENT | Errno::NODEV) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn read_block(memory: BorrowedFd<'_>, index: u64) -> Result<Block, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(memory, format!("memory{index}"), flags, Mode::empty())?;
    let nodes = nodes(&directory)?;
    let state = read_words(directory.as_fd(), "state")?;
    let zones = optional(read_words(directory.as_fd(), "valid_zones"))?.unwrap_or_default();
    let removable = optional(read_words(directory.as_fd(), "removable"))?;
    Ok(Block {
        index,
        state: state.as_str().into(),
        zones: zones.split_ascii_whitespace().map(str::to_owned).collect(),
        nodes,
        removable: removable.map(|flag| flag == "1"),
        group: None,
    })
}

/// A file that a kernel may lack.
fn optional(content: Result<String, Errno>) -> Result<Option<String>, Errno> {
    match content {
        Ok(content) => Ok(Some(content)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A small file of one line, in one read(2).
fn read_words(directory: BorrowedFd<'_>, name: &str) -> Result<String, Errno> {
    let file = openat(directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buffer = [0; WORDS];
    let length = rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut buffer))?;
    Ok(String::from_utf8_lossy(buffer[..length].trim_ascii_end()).into_owned())
}

/// The nodes that a block's directory links to, ascending.
fn nodes(directory: &OwnedFd) -> Result<Vec<u32>, Errno> {
    let mut buffer = [MaybeUninit::uninit(); 2048];
    let mut entries = RawDir::new(directory, &mut buffer);
    let mut nodes = Vec::new();
    while let Some(entry) = entries.next() {
        nodes.extend(entry?.file_name().to_str().ok().and_then(|name| number_behind::<u32>("node", name)));
    }
    nodes.sort_unstable();
    Ok(nodes)
}

/// The number behind `prefix` when `name` is nothing but those two.
fn number_behind<N: FromStr>(prefix: &str, name: &str) -> Option<N> {
    let digits = name.strip_prefix(prefix)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The number in a line such as `MemTotal:        4026940 kB` of /proc/meminfo.
pub fn kilobytes(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests;
