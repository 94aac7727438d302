//! Lines over a virtio-console port, whose host side may go away and come back at any time.
//!
//! While no host is connected, reading the port gives 0 and polling it gives `EPOLLHUP` at once, so
//! a plain wait would spin; the kernel wakes waiters when the host comes or goes
//! (drivers/char/virtio_console.c), which an edge-triggered epoll sees. Writing waits only as long
//! as a host is there: nobody waits for the answer to a client that left.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;

use rustix::event::epoll;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::protocol::MAX_REQUEST;

/// Bytes asked for in one read.
const CHUNK: usize = 64 << 10;

/// A line that came in, without its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A whole line.
    Whole(Vec<u8>),
    /// The end of a line that was longer than [`MAX_REQUEST`]; its content is dropped.
    TooLong,
}

/// Whether what was written reached the host side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// All of it did.
    Delivered,
    /// The host side left; the rest was dropped.
    HostGone,
}

/// The reading half of a port.
#[derive(Debug)]
pub struct LineReader {
    port: Arc<File>,
    waiter: rustix::fd::OwnedFd,
    buffer: Vec<u8>,
    /// Bytes at the start of `buffer` that are known to hold no line end.
    searched: usize,
    too_long: bool,
}

/// The writing half of a port.
#[derive(Debug)]
pub struct LineWriter {
    port: Arc<File>,
    /// An earlier line was cut short, so the next one must begin with a line end.
    torn: bool,
}

/// Both halves of `port`, which is made non-blocking.
///
/// # Errors
/// When the port cannot be waited for.
pub fn split(port: File) -> io::Result<(LineReader, LineWriter)> {
    let flags = rustix::fs::fcntl_getfl(&port)?;
    rustix::fs::fcntl_setfl(&port, flags | OFlags::NONBLOCK)?;
    let waiter = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let events = epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ET;
    epoll::add(&waiter, &port, epoll::EventData::new_u64(0), events)?;
    let port = Arc::new(port);
    let reader = LineReader { port: port.clone(), waiter, buffer: Vec::new(), searched: 0, too_long: false };
    Ok((reader, LineWriter { port, torn: false }))
}

impl LineReader {
    /// The next line; waits for it without limit, also while no host is connected.
    ///
    /// # Errors
    /// When the port itself is gone.
    pub fn next_line(&mut self) -> io::Result<Line> {
        loop {
            if let Some(line) = self.take_line() {
                return Ok(line);
            }
            self.fill()?;
        }
    }

    /// Cuts the first whole line off the buffer, and keeps the buffer short.
    fn take_line(&mut self) -> Option<Line> {
        let Some(end) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            if self.buffer.len() > MAX_REQUEST {
                self.too_long = true;
                self.forget();
            }
            return None;
        };
        let mut line: Vec<_> = self.buffer.drain(..=self.searched + end).collect();
        line.pop();
        self.searched = 0;
        match std::mem::take(&mut self.too_long) || line.len() > MAX_REQUEST {
            true => Some(Line::TooLong),
            false => Some(Line::Whole(line)),
        }
    }

    /// Appends what the port has, or waits until it may have something.
    fn fill(&mut self) -> io::Result<()> {
        let filled = self.buffer.len();
        self.buffer.resize(filled + CHUNK, 0);
        let result = rustix::io::read(&*self.port, &mut self.buffer[filled..]);
        self.buffer.truncate(filled + result.unwrap_or(0));
        match result {
            Ok(0) => {
                // The host left; what it began to say will not be finished.
                self.too_long = false;
                self.forget();
                self.wait()
            }
            Err(Errno::AGAIN) => self.wait(),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until data came, or the host came or went. A change since the last wait counts.
    fn wait(&self) -> io::Result<()> {
        let mut events = [MaybeUninit::<epoll::Event>::uninit(); 1];
        match epoll::wait(&self.waiter, &mut events, None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn forget(&mut self) {
        self.buffer = Vec::new();
        self.searched = 0;
    }
}

impl LineWriter {
    /// Writes `line`, which ends with its only line end, in as few writes as the port takes.
    ///
    /// # Errors
    /// When the port itself is gone.
    pub fn write_line(&mut self, line: &[u8]) -> io::Result<Delivery> {
        if self.torn {
            if self.write(b"\n")? < 1 {
                return Ok(Delivery::HostGone);
            }
            self.torn = false;
        }
        let written = self.write(line)?;
        if written == line.len() {
            return Ok(Delivery::Delivered);
        }
        self.torn = written > 0;
        Ok(Delivery::HostGone)
    }

    /// How much of `bytes` could be written before the host left.
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < bytes.len() {
            match rustix::io::write(&*self.port, &bytes[written..]) {
                Ok(count) => written += count,
                Err(Errno::INTR) => {}
                Err(Errno::PIPE) => break,
                Err(Errno::AGAIN) => {
                    if !self.wait_for_room()? {
                        break;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(written)
    }

    /// Waits for room; false when the host is not there.
    fn wait_for_room(&self) -> io::Result<bool> {
        let mut ports = [PollFd::new(&*self.port, PollFlags::OUT)];
        match poll(&mut ports, None) {
            Ok(_) => Ok(!ports[0].revents().contains(PollFlags::HUP)),
            Err(Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    fn pair() -> (UnixStream, LineReader, LineWriter) {
        let (host, guest) = UnixStream::pair().unwrap();
        let (reader, writer) = split(File::from(OwnedFd::from(guest))).unwrap();
        (host, reader, writer)
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_are_cut_wherever_the_pieces_end() {
        let (mut host, mut reader, _writer) = pair();
        host.write_all(b"one\n\ntw").unwrap();
        assert_eq!(reader.next_line().unwrap(), whole("one"));
        assert_eq!(reader.next_line().unwrap(), whole(""));
        host.write_all(b"o\nthree\n").unwrap();
        assert_eq!(reader.next_line().unwrap(), whole("two"));
        assert_eq!(reader.next_line().unwrap(), whole("three"));
    }

    #[test]
    fn a_line_that_is_too_long_is_dropped_up_to_its_end() {
        let (mut host, mut reader, _writer) = pair();
        let client = std::thread::spawn(move || {
            host.write_all(&vec![b'x'; MAX_REQUEST + 3 * CHUNK]).unwrap();
            host.write_all(b"\nshort\n").unwrap();
            host
        });
        assert_eq!(reader.next_line().unwrap(), Line::TooLong);
        assert_eq!(reader.next_line().unwrap(), whole("short"));
        client.join().unwrap();
    }

    #[test]
    fn a_line_longer_than_the_pipe_arrives_whole() {
        let (mut host, _reader, mut writer) = pair();
        let mut line = vec![b'x'; 4 << 20];
        line.push(b'\n');
        let expected = line.clone();
        let agent = std::thread::spawn(move || writer.write_line(&line).unwrap());
        let mut got = vec![0; expected.len()];
        host.read_exact(&mut got).unwrap();
        assert!(got == expected);
        assert_eq!(agent.join().unwrap(), Delivery::Delivered);
    }

    #[test]
    fn a_client_that_leaves_takes_its_answer_with_it() {
        let (host, _reader, mut writer) = pair();
        let agent =
            std::thread::spawn(move || (writer.write_line(&vec![b'x'; 4 << 20]).unwrap(), writer.torn));
        let mut first = [0; 1000];
        (&host).read_exact(&mut first).unwrap();
        drop(host);
        assert_eq!(agent.join().unwrap(), (Delivery::HostGone, true));
    }

    #[test]
    fn the_line_after_a_torn_one_begins_anew() {
        let (mut host, _reader, mut writer) = pair();
        writer.torn = true;
        assert_eq!(writer.write_line(b"{}\n").unwrap(), Delivery::Delivered);
        assert_eq!(writer.write_line(b"{}\n").unwrap(), Delivery::Delivered);
        drop((writer, _reader));
        let mut got = String::new();
        host.read_to_string(&mut got).unwrap();
        assert_eq!(got, "\n{}\n{}\n");
    }
}
