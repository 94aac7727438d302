//! A UNIX socket that clients come to, for those who take them in themselves and never wait.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Mutex;

use dimmer_devices::bus::lock;

use crate::socket::{self, SocketFile};

/// See the module. The socket file is removed when this is dropped.
#[derive(Debug)]
pub struct Door {
    listener: UnixListener,
    file: Option<SocketFile>,
    /// A descriptor to give up when there is no other, so as to send a client away.
    spare: Mutex<Option<OwnedFd>>,
}

impl Door {
    /// Listens at `path`, for this user only.
    ///
    /// # Errors
    /// When something listens there already, or the host refuses.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let (listener, file) = socket::bind(path)?;
        listener.set_nonblocking(true)?;
        let spare = Mutex::new(Some(listener.as_fd().try_clone_to_owned()?));
        Ok(Self { listener, file: Some(file), spare })
    }

    /// The file, for whoever removes it, in place of who has the door.
    pub fn take_file(&mut self) -> Option<SocketFile> {
        self.file.take()
    }

    /// The listening descriptor.
    pub fn raw_fd(&self) -> RawFd {
        self.listener.as_raw_fd()
    }

    /// The next client that waits, whose stream never blocks. Those for whom there is no descriptor are sent away: left
    /// waiting, they would wake whoever watches the door without end.
    pub fn next(&self) -> Option<UnixStream> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) if socket::admits(&stream) && stream.set_nonblocking(true).is_ok() => {
                    return Some(stream);
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                    let mut spare = lock(&self.spare);
                    drop(spare.take());
                    let sent_away = self.listener.accept().is_ok();
                    *spare = self.listener.as_fd().try_clone_to_owned().ok();
                    if !sent_away {
                        return None;
                    }
                }
                Err(_) => return None,
            }
        }
    }
}

#[cfg(test)]
impl Door {
    /// A client that has come, for tests that know no path.
    pub fn client(&self) -> UnixStream {
        UnixStream::connect_addr(&self.listener.local_addr().expect("it has a path")).expect("it listens")
    }
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}
