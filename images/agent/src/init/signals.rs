//! The signals that mean something to PID 1, turned into bytes of a pipe.
//!
//! Handlers, unlike a signal mask, do not outlive exec, so children start with plain signals.
#![expect(unsafe_code, reason = "installing a signal handler is unsafe")]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::pipe::{PipeFlags, pipe_with};

use super::End;

/// The pipe's writing end, for the handler; never closed once it is there.
static WRITER: AtomicI32 = AtomicI32::new(-1);

/// What busybox's `halt`, `poweroff` and `reboot` send to PID 1, as System V's init took it.
const ENDS: [(i32, End); 3] =
    [(libc::SIGUSR1, End::Halt), (libc::SIGUSR2, End::PowerOff), (libc::SIGTERM, End::Reboot)];

/// The signals that came in; readable when there is one.
#[derive(Debug)]
pub struct Signals {
    reader: OwnedFd,
}

impl Signals {
    /// Catches the signals from now on. To be called once.
    ///
    /// # Errors
    /// When there is no pipe or the kernel refuses a handler.
    pub fn catch() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        WRITER.store(writer.into_raw_fd(), Ordering::Release);
        for signal in ENDS.map(|(signal, _)| signal).into_iter().chain([libc::SIGCHLD]) {
            install(signal)?;
        }
        Ok(Self { reader })
    }

    /// Empties the pipe: how the machine shall end, if a signal said so. Children that ended are
    /// found by reaping.
    pub fn taken(&self) -> Option<End> {
        let mut buffer = [0; 64];
        let mut wanted = None;
        while let Ok(length @ 1..) = rustix::io::read(&self.reader, &mut buffer) {
            let ends = buffer[..length].iter().filter_map(|byte| end_of(i32::from(*byte)));
            wanted = wanted.or(ends.into_iter().next());
        }
        wanted
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

fn end_of(signal: i32) -> Option<End> {
    ENDS.iter().find(|(known, _)| *known == signal).map(|(_, end)| *end)
}

/// Makes `signal` call [`handler`].
fn install(signal: i32) -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid `sigaction`: no flags, an empty mask, the default handler.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as extern "C" fn(i32) as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART | libc::SA_NOCLDSTOP;
    // SAFETY: `action` is initialised, and `handler` does only what a signal handler may do.
    match unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Puts the signal's number into the pipe. A full pipe already holds enough to wake the reader.
extern "C" fn handler(signal: i32) {
    let writer: RawFd = WRITER.load(Ordering::Acquire);
    let Ok(byte) = u8::try_from(signal) else { return };
    // SAFETY: `errno` is this thread's own.
    let errno = unsafe { *libc::__errno_location() };
    // SAFETY: write(2) is async-signal-safe; the byte lives until it returns.
    unsafe { libc::write(writer, (&raw const byte).cast(), 1) };
    // SAFETY: as above; whoever was interrupted finds its own error number again.
    unsafe { *libc::__errno_location() = errno };
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::process::{Signal, getpid, kill_process};

    /// Waits until a signal came in.
    fn wait(signals: &Signals) {
        let mut sources = [PollFd::new(signals, PollFlags::IN)];
        while poll(&mut sources, None) != Ok(1) {}
    }

    #[test]
    fn signals_come_out_as_what_they_mean() {
        let signals = Signals::catch().unwrap();
        assert_eq!(signals.taken(), None);
        for (signal, end) in
            [(Signal::USR1, End::Halt), (Signal::USR2, End::PowerOff), (Signal::TERM, End::Reboot)]
        {
            kill_process(getpid(), signal).unwrap();
            wait(&signals);
            assert_eq!(signals.taken(), Some(end));
        }
        kill_process(getpid(), Signal::CHILD).unwrap();
        wait(&signals);
        assert_eq!(signals.taken(), None);
    }
}
