//! UNIX sockets of this user alone unless others were asked for (`access`): mode 0600, a stale file replaced, a live one left in peace. Or `fd=N` in place of a path: a
//! socket that whoever started this process listens on, whose file is theirs.
//!
//! Whether a file is stale and what takes its place is decided under a lock on its directory: two machines that are
//! started at once for one path do not remove each other's socket.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use dimmer_devices::bus::lock;
use rustix::fs::{FlockOperation, Mode, OFlags, fchmod, flock, fstat, open};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, listen, socket_with, sockopt};

use crate::inherited;

mod access;

pub use access::{admits, configure};

/// How long the lock is waited for. Whoever has it for longer does not start a machine.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A socket's file, unless that is another's. Dropping this removes it, but no other that took its place.
#[derive(Debug)]
pub struct SocketFile(Option<Arc<Known>>);

/// A file that is ours.
#[derive(Debug)]
struct Known {
    path: PathBuf,
    /// Keeps the inode, so that no other file gets its number.
    inode: OwnedFd,
}

/// The files of this process that have not been removed yet.
static FILES: Mutex<Vec<Arc<Known>>> = Mutex::new(Vec::new());

/// Removes the files of all sockets, for a process that ends at once.
pub fn remove_all() {
    let files = std::mem::take(&mut *lock(&FILES));
    files.iter().for_each(|known| known.remove());
}

/// Listens at `path`, or takes over the socket that this process was started with where that is `fd=N`.
///
/// # Errors
/// `AddrInUse` when something listens there already or the file is no socket; otherwise what the
/// host says. The message names the path.
pub fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    if let Some(number) = path.to_str().and_then(|path| path.strip_prefix("fd=")?.parse().ok()) {
        let socket = inherited::take(number, check_listens).map_err(named)?;
        return Ok((UnixListener::from(socket), SocketFile(None)));
    }
    let listen = || {
        let _lock = lock_directory(path)?;
        remove_stale(path)?;
        let listener = listen_privately(path)?;
        let inode = open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let known = Arc::new(Known { path: path.to_owned(), inode });
        lock(&FILES).push(known.clone());
        Ok((listener, SocketFile(Some(known))))
    };
    listen().map_err(named)
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let Some(ours) = &self.0 else { return };
        lock(&FILES).retain(|known| !Arc::ptr_eq(known, ours));
        ours.remove();
    }
}

impl Known {
    /// Whether the path still names this file.
    fn is_there(&self) -> io::Result<bool> {
        let (there, ours) = (fs::symlink_metadata(&self.path)?, fstat(&self.inode)?);
        Ok((there.dev(), there.ino()) == (ours.st_dev, ours.st_ino))
    }

    fn remove(&self) {
        let remove = || {
            let _lock = lock_directory(&self.path)?;
            if self.is_there()? { fs::remove_file(&self.path) } else { Ok(()) }
        };
        match remove() {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!("{}: cannot remove the socket: {error}", self.path.display());
            }
            // Somebody may have removed it already.
            _ => {}
        }
    }
}

/// Locks the directory that `path` is in until the result is dropped (flock(2)).
fn lock_directory(path: &Path) -> io::Result<File> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = File::open(directory.unwrap_or(Path::new(".")))?;
    let end = Instant::now() + PATIENCE;
    loop {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(directory),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < end => thread::sleep(LOOK_AGAIN),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(io::Error::new(
                    ErrorKind::AddrInUse,
                    "another process holds a lock on the directory",
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn check_listens(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let no_socket = |_| io::Error::other("is no UNIX socket");
    if sockopt::socket_domain(descriptor).map_err(no_socket)? != AddressFamily::UNIX {
        return Err(io::Error::other("is no UNIX socket"));
    }
    if sockopt::socket_type(descriptor)? != SocketType::STREAM || !sockopt::socket_acceptconn(descriptor)? {
        return Err(io::Error::other("must be a stream socket that listens"));
    }
    Ok(())
}

/// The mode is set before there is a file, so that nobody else can ever connect.
fn listen_privately(path: &Path) -> rustix::io::Result<UnixListener> {
    const BACKLOG: i32 = 128;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    access::permit(path)?;
    listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

/// Removes a socket that nobody listens on any more.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    let in_use = |text: &str| Err(io::Error::new(ErrorKind::AddrInUse, text.to_owned()));
    if !metadata.file_type().is_socket() {
        return in_use("the path is in use by a file that is no socket");
    }
    match UnixStream::connect(path) {
        Ok(_) => in_use("the socket path is in use: something listens there"),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Barrier;

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let (live, file) = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = bind(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains("something listens"), "{error}");
        drop(live);
        let (_second, second) = bind(&path).unwrap();
        drop(file);
        assert!(UnixStream::connect(&path).is_ok(), "the first one's end removes nothing of the second");
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_that_this_process_was_started_with_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let theirs = UnixListener::bind(&path).unwrap();
        let inherited = |socket: &dyn std::os::fd::AsFd| {
            let number = rustix::io::dup(socket.as_fd()).unwrap().into_raw_fd();
            bind(Path::new(&format!("fd={number}")))
        };
        let (listener, file) = inherited(&theirs).unwrap();
        drop(theirs);
        let _client = UnixStream::connect(&path).unwrap();
        listener.accept().unwrap();
        drop((listener, file));
        assert!(path.exists(), "the file is theirs");
        let (stream, _other) = UnixStream::pair().unwrap();
        let said = inherited(&stream).unwrap_err().to_string();
        assert!(said.starts_with("fd=") && said.ends_with("must be a stream socket that listens"), "{said}");
        let no_socket = inherited(&tempfile::tempfile().unwrap()).unwrap_err().to_string();
        assert!(no_socket.ends_with("is no UNIX socket"), "{no_socket}");
        assert!(bind(Path::new("fd=1048576")).unwrap_err().to_string().contains("was started with"));
    }

    #[test]
    fn a_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "precious").unwrap();
        assert_eq!(bind(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn of_many_that_start_at_once_one_has_the_socket_and_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        for _ in 0..50 {
            // What an earlier machine left behind when it was killed.
            let (stale, file) = bind(&path).unwrap();
            drop(stale);
            std::mem::forget(file);
            let together = Barrier::new(4);
            let start = || {
                together.wait();
                bind(&path).ok()
            };
            let won: Vec<_> = thread::scope(|scope| {
                let starters: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
                starters.into_iter().filter_map(|starter| starter.join().unwrap()).collect()
            });
            assert_eq!(won.len(), 1);
            assert!(UnixStream::connect(&path).is_ok());
        }
    }
}
