//! Files of the host's that one machine writes, or several read: locked (flock(2)) as QEMU and others do not know of, but every
//! other Dimmer does.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Others may read it, too.
    Read,
    /// It is this machine's alone.
    Write,
    /// Likewise, and it is made where there is none, for its user alone.
    Make,
}

/// Opens the file at `path`; it is locked as long as it is open.
///
/// # Errors
/// What the host says, or that another machine has it.
pub fn open(path: &Path, how: Use) -> io::Result<File> {
    let writes = how != Use::Read;
    let file = OpenOptions::new().read(true).write(writes).create(how == Use::Make).mode(0o600).open(path)?;
    let lock =
        if writes { FlockOperation::NonBlockingLockExclusive } else { FlockOperation::NonBlockingLockShared };
    match flock(&file, lock) {
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let what = if writes { "another machine has it" } else { "another machine writes it" };
            Err(io::Error::other(what))
        }
        other => other.map(|()| file).map_err(Into::into),
    }
}
