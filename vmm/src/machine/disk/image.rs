//! What is on a disk: a file, byte for byte or a qcow2 image with the files that it names.
//!
//! Nobody else may write a disk that is written here, nor one that is read.

use std::fs::File;
use std::io;

use dimmer_devices::virtio::block::{SECTOR, Work};
use imago::file::File as Storage;
use imago::qcow2::Qcow2;
use imago::raw::Raw;
use imago::{FormatAccess, FormatDriverBuilder, PermissiveImplicitOpenGate, StorageOpenOptions};

use crate::machine::locked::{self, Use};
use crate::spec::{DiskFormat, DiskSpec};

/// An open disk.
#[derive(Debug)]
pub struct Image {
    access: FormatAccess<Storage>,
    /// Locked as long as the disk is open.
    _lock: File,
}

impl Image {
    /// Opens the disk.
    ///
    /// # Errors
    /// What the host says, that the file is none of this format, or that another machine has it.
    pub fn open(disk: &DiskSpec) -> io::Result<Self> {
        let lock = locked::open(&disk.path, if disk.readonly { Use::Read } else { Use::Write })?;
        let options = StorageOpenOptions::new().direct(disk.direct);
        let gate = PermissiveImplicitOpenGate::default();
        let access = match disk.format {
            DiskFormat::Raw => {
                let raw = Raw::<Storage>::builder_path(&disk.path).write(!disk.readonly);
                FormatAccess::new(raw.storage_open_options(options).open(gate)?)
            }
            DiskFormat::Qcow2 => {
                let qcow2 = Qcow2::<Storage>::builder_path(&disk.path).write(!disk.readonly);
                FormatAccess::new(qcow2.storage_open_options(options).open(gate)?)
            }
        };
        Ok(Self { access, _lock: lock })
    }

    /// Whole sectors on it.
    pub fn sectors(&self) -> u64 {
        self.access.size() / SECTOR
    }

    /// Does `work`; returns what was read.
    ///
    /// # Errors
    /// What the host says.
    pub fn carry_out(&mut self, work: &Work, stable: bool) -> io::Result<Vec<u8>> {
        let mut read = Vec::new();
        match work {
            Work::Read(part) => {
                read = vec![0; usize::try_from(part.end - part.start).map_err(io::Error::other)?];
                self.access.read(&mut read, part.start)?;
            }
            Work::Write { place, bytes } => self.access.write(bytes, *place)?,
            Work::Flush => self.flush()?,
            // That nobody needs it is a hint: a file that cannot have holes keeps it.
            Work::Discard(part) => match self.access.discard_to_any(part.start, part.end - part.start) {
                Err(error) if error.kind() != io::ErrorKind::Unsupported => return Err(error),
                _ => {}
            },
            Work::Zero { part, unmap: true } => {
                self.access.discard_to_zero(part.start, part.end - part.start)?;
            }
            Work::Zero { part, unmap: false } => {
                self.access.write_zeroes(part.start, part.end - part.start)?;
            }
            Work::Say(bytes) => read.clone_from(bytes),
            Work::Refuse(_) => {}
        }
        if stable && matches!(work, Work::Write { .. } | Work::Zero { .. }) {
            self.flush()?;
        }
        Ok(read)
    }

    /// All that was written outlives the host's power from here on.
    ///
    /// # Errors
    /// What the host says.
    pub fn flush(&self) -> io::Result<()> {
        self.access.flush()?;
        self.access.sync()
    }
}

#[cfg(test)]
mod tests;
