//! Where frames go: a TAP device (Linux, Documentation/networking/tuntap.rst), or a stream socket on which each frame comes behind
//! its length, 32 bits in network order, as QEMU's `-netdev stream` and passt have it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use dimmer_devices::virtio::net::{HEADER, LONGEST};

use super::tap;
use crate::spec::WireSpec;

/// Bytes of a frame's length.
const LENGTH: usize = 4;

/// See the module.
#[derive(Debug)]
pub enum Wire {
    /// Each read and write is a frame with its header.
    Tap(File),
    /// Frames without headers.
    Stream(Stream),
}

/// A stream of frames. It neither blocks nor keeps more than a frame in each direction.
#[derive(Debug)]
pub struct Stream {
    socket: UnixStream,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

impl Wire {
    /// Opens it.
    ///
    /// # Errors
    /// What the host says.
    pub fn open(wire: &WireSpec) -> io::Result<Self> {
        match wire {
            WireSpec::Tap(name) => Ok(Self::Tap(tap::open(name)?)),
            WireSpec::Fd(number) => Ok(Self::Tap(tap::inherited(*number)?)),
            WireSpec::Socket(path) => Ok(Self::Stream(Stream::new(UnixStream::connect(path)?)?)),
        }
    }

    /// Whether it takes frames without checksums, and segments that are still to be made.
    pub const fn has_offloads(&self) -> bool {
        matches!(self, Self::Tap(_))
    }

    /// What shows that a frame has come, or another can be sent.
    pub fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tap(file) => file.as_fd(),
            Self::Stream(stream) => stream.socket.as_fd(),
        }
    }

    /// Whether a part of the last frame still waits to be sent.
    pub const fn is_full(&self) -> bool {
        match self {
            Self::Tap(_) => false,
            Self::Stream(stream) => !stream.outgoing.is_empty(),
        }
    }

    /// Sends a frame behind its header, when it is not full. A TAP device that has no room drops it, as a wire does.
    ///
    /// # Errors
    /// When nobody is at the other end any more.
    pub fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        match self {
            Self::Tap(file) => match file.write(frame) {
                // What makes no sense to the host's network, and what comes while the device is down, is the guest's affair.
                Err(error) if error.raw_os_error() == Some(libc::EBADFD) => Err(error),
                _ => Ok(()),
            },
            Self::Stream(stream) => {
                let frame = &frame[HEADER..];
                let length = u32::try_from(frame.len()).expect("frames are short");
                stream.outgoing.extend(length.to_be_bytes());
                stream.outgoing.extend(frame);
                stream.flush()
            }
        }
    }

    /// Sends more of what waits.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tap(_) => Ok(()),
            Self::Stream(stream) => stream.flush(),
        }
    }

    /// The next frame that has come, behind a header, if all of it is there.
    ///
    /// # Errors
    /// When nobody is at the other end any more, or what it says is no frame.
    pub fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Tap(file) => {
                let mut frame = vec![0; HEADER + LONGEST];
                let Some(length) = unless_blocked(file.read(&mut frame))? else { return Ok(None) };
                frame.truncate(length);
                Ok(Some(frame).filter(|frame| frame.len() > HEADER))
            }
            Self::Stream(stream) => stream.receive(),
        }
    }
}

impl Stream {
    fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket, incoming: Vec::new(), outgoing: Vec::new() })
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            let Some(sent) = unless_blocked(self.socket.write(&self.outgoing))? else { break };
            self.outgoing.drain(..sent);
        }
        Ok(())
    }

    fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let wanted = self.wanted()?;
            let there = self.incoming.len();
            if there == wanted && there > LENGTH {
                // One buffer: no segments, no checksum that is to be made.
                let mut frame = vec![0; HEADER];
                frame[HEADER - 2] = 1;
                frame.extend(&self.incoming[LENGTH..]);
                self.incoming.clear();
                return Ok(Some(frame));
            }
            self.incoming.resize(wanted, 0);
            let read = unless_blocked(self.socket.read(&mut self.incoming[there..]));
            self.incoming.truncate(there + read.as_ref().ok().copied().flatten().unwrap_or(0));
            match read? {
                None => return Ok(None),
                Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(_) => {}
            }
        }
    }

    /// How many bytes are to be there before anything can be done: of the length, and then of the frame behind it.
    fn wanted(&self) -> io::Result<usize> {
        let Some(length) = self.incoming.first_chunk::<LENGTH>() else { return Ok(LENGTH) };
        match usize::try_from(u32::from_be_bytes(*length)) {
            Ok(length) if (1..=LONGEST).contains(&length) => Ok(LENGTH + length),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "what comes is no frame")),
        }
    }
}

fn unless_blocked(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        other => other.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (UnixStream, Wire) {
        let (here, there) = UnixStream::pair().unwrap();
        (here, Wire::Stream(Stream::new(there).unwrap()))
    }

    fn framed(bytes: &[u8]) -> Vec<u8> {
        [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
    }

    #[test]
    fn frames_come_whole_however_they_are_cut() {
        let (mut peer, mut wire) = pair();
        let said = [framed(b"one"), framed(&[7; 2000]), framed(b"x")].concat();
        let mut seen = Vec::new();
        for piece in said.chunks(5) {
            peer.write_all(piece).unwrap();
            while let Some(frame) = wire.receive().unwrap() {
                assert_eq!(frame[..HEADER], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
                seen.push(frame[HEADER..].to_vec());
            }
        }
        assert_eq!(seen, [b"one".to_vec(), vec![7; 2000], b"x".to_vec()]);
        drop(peer);
        assert!(wire.receive().is_err());
    }

    #[test]
    fn what_is_no_frame_ends_the_wire() {
        for length in [0, u32::try_from(LONGEST + 1).unwrap(), u32::MAX] {
            let (mut peer, mut wire) = pair();
            peer.write_all(&length.to_be_bytes()).unwrap();
            assert_eq!(wire.receive().unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn a_peer_that_does_not_read_holds_one_frame_up_and_loses_none() {
        let (mut peer, mut wire) = pair();
        let frame = vec![9; HEADER + LONGEST];
        let mut sent = 0;
        while !wire.is_full() {
            wire.send(&frame).unwrap();
            sent += 1;
        }
        let expected = sent * (LENGTH + LONGEST);
        let reader = std::thread::spawn(move || {
            let mut bytes = vec![0; expected];
            peer.read_exact(&mut bytes).map(|()| bytes)
        });
        while wire.is_full() {
            wire.flush().unwrap();
        }
        let bytes = reader.join().unwrap().unwrap();
        assert!(bytes.chunks(LENGTH + LONGEST).all(|bytes| bytes == framed(&frame[HEADER..])));
    }
}
