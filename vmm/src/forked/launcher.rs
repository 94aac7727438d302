//! A process that starts forks for a machine, which in its sandbox cannot.
//!
//! It is forked off while the machine's process has one thread and no guest, does nothing but wait, and ends when the machine does;
//! what it has started goes on. It is asked for a fork, and says itself how this program is called for one; what it starts is
//! kept to the same files as it is (see the sandbox's module).
//!
//! A request is one message: a fork as JSON, and with it two descriptors, of the image and of the pipe on which the child says how it
//! went. The answer is one, too: the child's number, or why there is none.
#![expect(unsafe_code, reason = "forks, and closes what is not this process's")]

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use dimmer_devices::bus::lock;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, send, sendmsg, socketpair,
};
use rustix::process::{WaitOptions, wait};
use rustix::stdio::{dup2_stdin, dup2_stdout};
use rustix::thread::set_name;
use serde::{Deserialize, Serialize};
use signal_hook::consts::SIGCHLD;

use super::arguments;
use crate::spec::ForkSpec;

/// The longest message: a fork has a name and three paths.
const LONGEST: usize = 32 << 10;
/// What the process is called.
const NAME: &str = "dimmer-launcher";

/// The machine's side.
#[derive(Debug)]
pub struct Launcher(Mutex<OwnedFd>);

/// What came of a request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    /// The child's number.
    Started(u32),
    /// Why there is none.
    Failed(String),
}

impl Launcher {
    /// Starts the process. What it starts has `more` arguments besides a fork's own, and the descriptor `inherited`, if there is one;
    /// `confine` confines it first.
    ///
    /// # Errors
    /// What the host says, or that there are other threads already.
    pub fn begin(
        more: Vec<OsString>,
        inherited: Option<RawFd>,
        confine: impl FnOnce() -> Result<(), String>,
    ) -> io::Result<Self> {
        let one_thread = std::fs::read_dir("/proc/self/task")?.count() == 1;
        if !one_thread {
            return Err(io::Error::other("there are other threads already"));
        }
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        // SAFETY: this process has one thread, so the child has all of it, locks and allocator included.
        match unsafe { libc::fork() } {
            0 => {
                drop(ours);
                let status = be(&theirs, &more, inherited, confine);
                // SAFETY: it has no precondition; what is to be done at the end of a process is its parent's.
                unsafe { libc::_exit(status) }
            }
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(Self(Mutex::new(ours))),
        }
    }

    /// Starts a child that begins with `image` and says on `says` how that went; returns its number.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start(&self, image: &File, says: &io::PipeWriter, fork: &ForkSpec) -> io::Result<u32> {
        let request = serde_json::to_vec(fork)?;
        let socket = lock(&self.0);
        let descriptors = [image.as_fd(), says.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut with = SendAncillaryBuffer::new(&mut space);
        with.push(SendAncillaryMessage::ScmRights(&descriptors));
        sendmsg(&*socket, &[IoSlice::new(&request)], &mut with, SendFlags::NOSIGNAL)?;
        let mut answer = vec![0; LONGEST];
        let (length, _) = rustix::io::retry_on_intr(|| recv(&*socket, &mut answer[..], RecvFlags::empty()))?;
        match serde_json::from_slice(&answer[..length]) {
            Ok(Answer::Started(pid)) => Ok(pid),
            Ok(Answer::Failed(why)) => Err(io::Error::other(why)),
            Err(_) => Err(io::Error::other("the process that starts forks has ended")),
        }
    }
}

/// The process's life; returns its exit status.
fn be(
    socket: &OwnedFd,
    more: &[OsString],
    inherited: Option<RawFd>,
    confine: impl FnOnce() -> Result<(), String>,
) -> i32 {
    let kept = [socket.as_raw_fd(), inherited.unwrap_or(-1)];
    let begun = close_all_but(kept).and_then(|()| {
        let nothing = File::options().read(true).write(true).open("/dev/null")?;
        dup2_stdin(&nothing)?;
        dup2_stdout(&nothing)?;
        set_name(&CString::new(NAME)?)?;
        confine().map_err(io::Error::other)?;
        serve(socket, more)
    });
    match begun {
        Ok(()) => 0,
        Err(error) => {
            crate::complaint::complain(format_args!("dimmer: the process that starts forks: {error}"));
            1
        }
    }
}

/// What this process has from the one that it was forked off is not its own: sockets, devices, files.
fn close_all_but(kept: [RawFd; 2]) -> io::Result<()> {
    let open = std::fs::read_dir("/proc/self/fd")?.map(|entry| entry.map(|entry| entry.file_name()));
    let open = open.collect::<io::Result<Vec<_>>>()?;
    for number in open.iter().filter_map(|name| name.to_str()?.parse::<RawFd>().ok()) {
        if number > libc::STDERR_FILENO && !kept.contains(&number) {
            // SAFETY: nobody in this process uses it: it has one thread, which uses what is kept.
            unsafe { libc::close(number) };
        }
    }
    Ok(())
}

/// Starts what is asked for until nobody can ask any more.
fn serve(socket: &OwnedFd, more: &[OsString]) -> io::Result<()> {
    let (ended, end) = UnixStream::pair()?;
    ended.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(SIGCHLD, end)?;
    loop {
        let mut watched = [PollFd::new(socket, PollFlags::IN), PollFd::new(&ended, PollFlags::IN)];
        match poll(&mut watched, None) {
            Err(Errno::INTR) => continue,
            polled => polled?,
        };
        let asked = !watched[0].revents().is_empty();
        // How children end is their own affair, but for their numbers, which are free only once somebody has looked.
        let _ = io::Read::read(&mut &ended, &mut [0; 64]);
        while matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {}
        if asked && !answer_one(socket, more)? {
            return Ok(());
        }
    }
}

/// Answers a request; returns whether there was one.
fn answer_one(socket: &OwnedFd, more: &[OsString]) -> io::Result<bool> {
    let mut bytes = vec![0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut with = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut with, RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes == 0 {
        return Ok(false);
    }
    let mut descriptors = with.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect(),
        _ => Vec::new(),
    });
    let (image, says) = (descriptors.next(), descriptors.next());
    let started = match (serde_json::from_slice(&bytes[..received.bytes]), image, says) {
        (Ok(fork), Some(image), Some(says)) => spawn(&fork, more, image, says),
        _ => Err(io::Error::other("the request is none")),
    };
    let answer = started.map_or_else(|error| Answer::Failed(error.to_string()), Answer::Started);
    match send(socket, &serde_json::to_vec(&answer)?, SendFlags::NOSIGNAL) {
        Err(Errno::PIPE) => Ok(false),
        sent => sent.map(|_| true).map_err(Into::into),
    }
}

fn spawn(fork: &ForkSpec, more: &[OsString], image: OwnedFd, says: OwnedFd) -> io::Result<u32> {
    let mut command = Command::new("/proc/self/exe");
    // Programs that carry this one tell by its name what they are to be.
    command.arg0("dimmer").args(arguments(fork)).args(more).stdin(Stdio::from(image)).stdout(says);
    if fork.detached {
        command.process_group(0);
    }
    Ok(command.spawn()?.id())
}
