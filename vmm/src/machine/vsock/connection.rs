//! One connection: a stream of the host's, what waits to be read on either side of it, and how much room there is for more
//! (virtio 1.2, section 5.10.6.3).

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use dimmer_devices::virtio::vsock::{Header, NO_MORE_RECEIVED, NO_MORE_SENT};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Bytes that are kept for the host until it reads them: what the guest is told that there is room for.
pub const ROOM: u32 = 256 << 10;
/// The guest is told of more room once there is so much of it.
const TELL: u32 = ROOM / 4;
/// Bytes that are read of the host at once.
const PIECE: usize = 16 << 10;

/// The connection is over for the host.
#[derive(Debug, PartialEq, Eq)]
pub struct Gone;

/// See the module.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    /// Whether both sides know of it.
    open: bool,
    /// What the guest said last: how much room it has in all, and how much it has taken out of it.
    room: u32,
    taken: u32,
    /// Bytes given to the guest, modulo 2^32.
    given: u32,
    /// What the host is told before all that the guest sends.
    greeting: Vec<u8>,
    /// What the host has not read yet.
    backlog: VecDeque<u8>,
    /// Bytes that the host has got, modulo 2^32, and what the guest knows of that.
    forwarded: u32,
    told: u32,
    /// What the guest has not taken yet.
    waiting: VecDeque<u8>,
    guest_sends: bool,
    guest_receives: bool,
    host_sends: bool,
}

impl Connection {
    /// A connection over a stream that never blocks, once the guest knows of it.
    pub fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            open: false,
            room: 0,
            taken: 0,
            given: 0,
            greeting: Vec::new(),
            backlog: VecDeque::new(),
            forwarded: 0,
            told: 0,
            waiting: VecDeque::new(),
            guest_sends: true,
            guest_receives: true,
            host_sends: true,
        }
    }

    /// Both sides know of it; the host is greeted with that.
    pub fn open(&mut self, greeting: &str) {
        self.open = true;
        self.greeting = greeting.into();
    }

    /// Whether they do.
    pub const fn is_open(&self) -> bool {
        self.open
    }

    /// What a packet says of the guest's room.
    pub const fn heard(&mut self, header: &Header) {
        (self.room, self.taken) = (header.room.get(), header.taken.get());
    }

    /// The header, which says how much room there is here.
    pub fn account(&self, header: Header) -> Header {
        Header { room: ROOM.into(), taken: self.forwarded.into(), ..header }
    }

    /// The guest has got such a header.
    pub const fn told(&mut self) {
        self.told = self.forwarded;
    }

    /// Whether the guest is to be told that there is more room.
    pub const fn has_news(&self) -> bool {
        self.forwarded.wrapping_sub(self.told) >= TELL
    }

    /// Takes what the guest sends.
    ///
    /// # Errors
    /// [`Gone`] when the guest sends more than there is room for, or behind its end.
    pub fn take(&mut self, data: &[u8]) -> Result<(), Gone> {
        let fits = self.backlog.len() + data.len() <= ROOM as usize;
        if !fits || !self.guest_sends {
            return Err(Gone);
        }
        self.backlog.extend(data);
        Ok(())
    }

    /// The guest receives no more, or sends no more.
    pub fn guest_ends(&mut self, flags: u32) {
        if flags & NO_MORE_RECEIVED != 0 {
            self.guest_receives = false;
            self.waiting.clear();
            // Who still writes learns of it. It fails where the host has gone.
            let _ = self.stream.shutdown(Shutdown::Read);
        }
        if flags & NO_MORE_SENT != 0 {
            self.guest_sends = false;
        }
    }

    /// Whether the guest is done with it, and the host has all that it sent.
    pub fn is_done(&self) -> bool {
        !self.guest_sends && !self.guest_receives && self.backlog.is_empty()
    }

    /// Lets the host have what it takes.
    ///
    /// # Errors
    /// [`Gone`] when it takes no more.
    pub fn flush(&mut self) -> Result<(), Gone> {
        while !self.greeting.is_empty() {
            let Some(written) = write(&self.stream, &self.greeting)? else { return Ok(()) };
            self.greeting.drain(..written);
        }
        while !self.backlog.is_empty() {
            let Some(written) = write(&self.stream, self.backlog.as_slices().0)? else { return Ok(()) };
            self.backlog.drain(..written);
            let written = u32::try_from(written).expect("no more than there is room for");
            self.forwarded = self.forwarded.wrapping_add(written);
        }
        if !self.guest_sends {
            // Said more than once it is no other.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        Ok(())
    }

    /// The next bytes for the guest, as many as it has room for; empty when there are none at present. The flags of what
    /// ends here, if it does.
    ///
    /// # Errors
    /// [`Gone`] when the host is.
    pub fn next(&mut self) -> Result<(&[u8], u32), Gone> {
        let credit = self.credit();
        let mut ended = 0;
        if self.waiting.is_empty() && credit > 0 && self.may_read() {
            let mut piece = vec![0; PIECE.min(credit)];
            match unless_blocked((&self.stream).read(&mut piece))? {
                None => {}
                Some(0) => {
                    self.host_sends = false;
                    ended = NO_MORE_SENT | if self.has_hung_up() { NO_MORE_RECEIVED } else { 0 };
                }
                Some(read) => self.waiting.extend(&piece[..read]),
            }
        }
        let bytes = self.waiting.make_contiguous();
        Ok((&bytes[..bytes.len().min(credit)], ended))
    }

    /// The guest has so many of those bytes.
    pub fn gave(&mut self, bytes: usize) {
        self.waiting.drain(..bytes);
        self.given =
            self.given.wrapping_add(u32::try_from(bytes).expect("no more than the guest has room for"));
    }

    /// What shows that there is more to do.
    pub fn watched(&self) -> PollFlags {
        let reads = self.may_read() && self.waiting.is_empty() && self.credit() > 0;
        let read = if reads { PollFlags::IN } else { PollFlags::empty() };
        let writes = !(self.greeting.is_empty() && self.backlog.is_empty());
        if writes { read | PollFlags::OUT } else { read }
    }

    /// The host's stream.
    pub const fn stream(&self) -> &UnixStream {
        &self.stream
    }

    const fn may_read(&self) -> bool {
        self.open && self.host_sends && self.guest_receives
    }

    /// Bytes that the guest has room for.
    fn credit(&self) -> usize {
        let under_way = self.given.wrapping_sub(self.taken);
        self.room.saturating_sub(under_way) as usize
    }

    /// Whether nobody is at the other end, rather than somebody who only sends no more.
    pub fn has_hung_up(&self) -> bool {
        let mut stream = [PollFd::new(&self.stream, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut stream, Some(&now)).is_ok() && stream[0].revents().contains(PollFlags::HUP)
    }
}

fn write(mut stream: &UnixStream, bytes: &[u8]) -> Result<Option<usize>, Gone> {
    unless_blocked(stream.write(bytes))
}

fn unless_blocked(result: io::Result<usize>) -> Result<Option<usize>, Gone> {
    match result {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(_) => Err(Gone),
    }
}

#[cfg(test)]
mod tests;
