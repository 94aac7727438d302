//! The command's standard streams, pumped between its pipes and the ports.

use std::fs::File;
use std::io::{self, BufReader, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::process::ChildStdin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use dimmer_agent::frames::{self, CHUNK, Kind};
use rustix::event::{PollFd, PollFlags, poll};

/// Ends a [`pump_output`] from another thread.
#[derive(Debug)]
pub struct Stop {
    /// Dropped to wake the pump, which polls the other end.
    wake: Mutex<Option<PipeWriter>>,
    closed: AtomicBool,
}

impl Stop {
    /// A switch, and the end of its pipe that the pump polls.
    pub fn new() -> io::Result<(Self, PipeReader)> {
        let (woken, wake) = io::pipe()?;
        Ok((Self { wake: Mutex::new(Some(wake)), closed: AtomicBool::new(false) }, woken))
    }

    /// The command has ended: what it wrote is still sent, what its orphans may write later is not.
    pub fn finish(&self) {
        self.wake.lock().expect("nothing panics while holding this lock").take();
    }

    /// Nobody reads the stream any more: the command's next write fails, as it does with a pipe that lost its reader.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.finish();
    }
}

/// Sends what comes out of `pipe` to `port` until the pipe ends or `stop` says so, then the end of the stream.
///
/// # Errors
/// Those of the pipe and the port.
pub fn pump_output(
    mut pipe: impl Read + AsFd,
    port: &mut File,
    stop: &Stop,
    woken: &PipeReader,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let mut watched = [PollFd::new(&pipe, PollFlags::IN), PollFd::new(woken, PollFlags::IN)];
        poll(&mut watched, None)?;
        let readable = watched[0].revents().contains(PollFlags::IN);
        if stop.closed.load(Ordering::Acquire) || !readable {
            break;
        }
        match pipe.read(&mut buffer)? {
            0 => break,
            length => frames::write(port, Kind::Data, &buffer[..length])?,
        }
    }
    drop(pipe);
    frames::write(port, Kind::Data, &[])
}

/// Feeds the command what `port` brings, until its end or until the command reads no more.
///
/// # Errors
/// Those of the port, and `InvalidData` for a frame that is not `Data`.
pub fn pump_input(port: File, mut pipe: ChildStdin) -> io::Result<()> {
    let mut port = BufReader::with_capacity(CHUNK, port);
    let mut data = Vec::new();
    loop {
        match frames::read(&mut port, &mut data)? {
            Some(Kind::Data) if !data.is_empty() => match pipe.write_all(&data) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                result => result?,
            },
            Some(Kind::Data) | None => return Ok(()),
            Some(kind) => {
                let text = format!("A {kind:?} frame came as standard input");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
    }
}
