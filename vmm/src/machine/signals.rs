//! The signals that end the machine in good order.
//!
//! While a machine starts, which may take minutes where much memory is populated, a thread of its own waits for them:
//! the event loop is not there yet. It removes the sockets' files and ends the process.

use std::fs;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::process;
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::ioctl_fionbio;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::End;
use crate::complaint::complain;
use crate::sandbox::{self, Kind};
use crate::socket;

/// The signal that asks for the end, rather than for an end at once.
pub const ASKS: &str = "SIGTERM";

const SIGNALS: [(&str, i32); 3] = [(ASKS, SIGTERM), ("SIGINT", SIGINT), ("SIGHUP", SIGHUP)];

/// A pipe for each signal, which becomes readable when it comes.
///
/// Pipes, and no sockets: a handler runs on any thread that the kernel picks (signal(7)), and every thread's sandbox lets it
/// `write`.
#[derive(Debug)]
pub struct Signals {
    pipes: Vec<(&'static str, PipeReader)>,
}

impl Signals {
    /// Takes the signals over, but those that whoever started this process has it ignore, as nohup(1) does with SIGHUP.
    ///
    /// # Errors
    /// When the host gives no pipe or refuses a handler.
    pub fn new() -> io::Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let wanted = SIGNALS.into_iter().filter(|(_, signal)| !is_ignored(&status, *signal));
        let pipe = |(name, signal)| {
            let (reader, writer) = io::pipe()?;
            signal_hook::low_level::pipe::register(signal, writer)?;
            Ok((name, reader))
        };
        Ok(Self { pipes: wanted.map(pipe).collect::<io::Result<_>>()? })
    }

    /// What becomes readable, in the order of the signals' numbers here.
    pub fn pipes(&self) -> impl Iterator<Item = &PipeReader> {
        self.pipes.iter().map(|(_, pipe)| pipe)
    }

    /// The name of signal `number`, which has come, and may come again.
    pub fn take(&self, number: u32) -> &'static str {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        let Some(&(name, ref pipe)) = self.pipes.get(index) else {
            return "a signal";
        };
        // It is readable, or somebody else was faster.
        let _ = ioctl_fionbio(pipe, true).map(|()| (&*pipe).read(&mut [0; 64]));
        name
    }

    /// Ends the process in good order if a signal comes while the result lives.
    ///
    /// # Errors
    /// When the host has no descriptor or thread left.
    pub fn while_starting(&self) -> io::Result<Starting> {
        let pipes = self.pipes.iter().map(|(name, pipe)| Ok((*name, pipe.try_clone()?)));
        let pipes = pipes.collect::<io::Result<Vec<_>>>()?;
        let (stopped, stop) = io::pipe()?;
        let wait = move || {
            if let Some(name) = wait(&stopped, &pipes) {
                socket::remove_all();
                let end = End::Asked(format!("by {name} before it had started"));
                complain(format_args!("dimmer: {end}"));
                process::exit(end.status().into());
            }
        };
        let thread = sandbox::spawn(Kind::Signals, "signals", wait)?;
        Ok(Starting { stop, thread: Some(thread) })
    }
}

/// The time in which a machine starts.
#[derive(Debug)]
pub struct Starting {
    stop: PipeWriter,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Starting {
    fn drop(&mut self) {
        // One byte fits into an empty pipe.
        let _ = self.stop.write_all(&[0]);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Waits until it is to stop, or for the name of a signal that came. Takes nothing from the signals' pipes: one that comes
/// at the last moment is for the event loop.
fn wait(mut stopped: &PipeReader, pipes: &[(&'static str, PipeReader)]) -> Option<&'static str> {
    loop {
        let all = pipes.iter().map(|(_, pipe)| pipe).chain([stopped]);
        let mut polled: Vec<_> = all.map(|pipe| PollFd::new(pipe, PollFlags::IN)).collect();
        match poll(&mut polled, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => {
                tracing::error!("cannot wait for signals while the machine starts: {error}");
                return None;
            }
            Ok(_) => {}
        }
        if polled.last().is_some_and(|stopped| !stopped.revents().is_empty()) {
            let _ = stopped.read(&mut [0]);
            return None;
        }
        let came = polled.iter().position(|pipe| !pipe.revents().is_empty());
        if let Some((name, _)) = came.and_then(|index| pipes.get(index)) {
            return Some(name);
        }
    }
}

/// Whether the process of this `status` ignores a signal (proc_pid_status(5), `SigIgn`).
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal - 1)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_known_by_their_bits() {
        let status = "Name:\tdimmer\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000000\n";
        let ignored = SIGNALS.map(|(_, signal)| is_ignored(status, signal));
        assert_eq!(ignored, [false, false, true]);
        assert!(!is_ignored("", SIGHUP));
    }

    #[test]
    fn the_start_ends_without_a_signal() {
        let (pipe, _sender) = io::pipe().unwrap();
        let signals = Signals { pipes: vec![("SIGTERM", pipe)] };
        drop(signals.while_starting().unwrap());
        assert_eq!((signals.take(0), signals.take(7)), ("SIGTERM", "a signal"));
    }

    #[test]
    fn a_signal_is_named_and_stopping_comes_first() {
        let (pipe, mut sender) = io::pipe().unwrap();
        let (stopped, mut stop) = io::pipe().unwrap();
        let pipes = [("SIGINT", pipe)];
        sender.write_all(&[0]).unwrap();
        assert_eq!(wait(&stopped, &pipes), Some("SIGINT"));
        stop.write_all(&[0]).unwrap();
        assert_eq!(wait(&stopped, &pipes), None);
    }
}
