//! A program that joins its standard streams with a virtual socket (vsock(7)): what tests and people talk to the host with.
#![expect(unsafe_code, reason = "rustix has no addresses of virtual sockets")]

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::thread;

use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{
    AddressFamily, Shutdown, SocketFlags, SocketType, accept, bind, connect, listen, shutdown, socket_with,
};

/// Argument that makes this program one, in front of `connect PORT` or `listen PORT`.
pub const VSOCK: &str = "vsock";

/// Context IDs: the host, and whoever this is.
const HOST: u32 = 2;
const ANY: u32 = u32::MAX;

struct Address(libc::sockaddr_vm);

// SAFETY: the pointer is to a whole address, of that length, which lives as long as the call.
unsafe impl SocketAddrArg for Address {
    unsafe fn with_sockaddr<R>(&self, f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R) -> R {
        let length = SocketAddrLen::try_from(size_of::<libc::sockaddr_vm>()).expect("a small number");
        f((&raw const self.0).cast(), length)
    }
}

fn address(cid: u32, port: u32) -> Address {
    let family = libc::sa_family_t::try_from(libc::AF_VSOCK).expect("families are small numbers");
    Address(libc::sockaddr_vm {
        svm_family: family,
        svm_reserved1: 0,
        svm_port: port,
        svm_cid: cid,
        svm_zero: [0; 4],
    })
}

/// Connects to a port of the host's, or waits for one client of the host's at a port here; then carries bytes both ways. Each
/// way ends by itself, and this once both have.
///
/// # Errors
/// When the words make no sense, nobody is there, or a stream fails.
pub fn join(how: &str, port: &str) -> io::Result<()> {
    let port = port.parse().map_err(|_| io::Error::other(format!("{port:?} is no port")))?;
    let socket = socket_with(AddressFamily::VSOCK, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let stream = match how {
        "connect" => {
            connect(&socket, &address(HOST, port))?;
            socket
        }
        "listen" => {
            // One that nobody can come to any more once somebody has.
            let listener = socket;
            bind(&listener, &address(ANY, port))?;
            listen(&listener, 1)?;
            accept(&listener)?
        }
        _ => return Err(io::Error::other("usage: vsock connect|listen PORT")),
    };
    let other = stream.try_clone()?;
    let sending = thread::spawn(move || {
        // Whoever is gone at the other end is heard of by the one who reads.
        let _ = copy(&io::stdin(), &other);
        let _ = shutdown(&other, Shutdown::Write);
    });
    copy(&stream, &io::stdout())?;
    // Who reads from here learns that there is no more.
    rustix::stdio::dup2_stdout(File::open("/dev/null")?)?;
    sending.join().map_err(|_| io::Error::other("a thread panicked"))
}

fn copy(from: &impl AsFd, to: &impl AsFd) -> io::Result<()> {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let read = rustix::io::read(from, &mut bytes)?;
        if read == 0 {
            return Ok(());
        }
        let mut rest = &bytes[..read];
        while !rest.is_empty() {
            rest = &rest[rustix::io::write(to, rest)?..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert_eq!(join("connect", "many").unwrap_err().to_string(), "\"many\" is no port");
        // A host without virtual sockets says so before.
        let said = join("talk", "1").unwrap_err().to_string();
        assert!(said.contains("connect|listen") || said.contains("not supported"), "{said}");
    }
}
