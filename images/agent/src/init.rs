//! Being PID 1 of the guest: set the machine up, keep the agent and the console's shell running,
//! reap what ends, and end the machine when asked.
//!
//! PID 1 only watches over children. The agent is one of them, this program started again, so
//! that waiting for its own commands and reaping everyone's orphans cannot get in each other's way,
//! and nothing the agent does can take the guest's kernel down with it.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use rustix::system::RebootCommand;

use crate::tree::Tree;
use crate::{modules, pid1};

mod console;
mod power_button;
mod root;
mod service;
mod signals;

use power_button::PowerButton;
use service::Service;
use signals::Signals;

/// Argument that makes this program the agent instead of PID 1.
pub const SERVE: &str = "serve";

/// How the machine can be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    PowerOff,
    Reboot,
    Halt,
}

impl End {
    /// Does it. Comes back only when the kernel refuses.
    fn now(self) -> io::Error {
        match self {
            Self::PowerOff => pid1::power_off(),
            Self::Reboot => pid1::reboot(),
            Self::Halt => {
                rustix::fs::sync();
                match rustix::system::reboot(RebootCommand::Halt) {
                    Ok(()) => io::Error::other("the kernel carried on after reboot(2)"),
                    Err(error) => error.into(),
                }
            }
        }
    }
}

/// Runs as PID 1.
///
/// # Errors
/// Only when PID 1 cannot watch over anything; the kernel then panics, and says so.
pub fn run() -> io::Result<std::convert::Infallible> {
    // Handlers do not outlive exec.
    let signals = Signals::catch()?;
    set_up();
    let cmdline = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    if let Some(disks) = root::Disks::named(&cmdline) {
        // A guest without its distribution can at least be looked at.
        complain(&disks.go_over());
    }
    let mut init = Init { services: services(&cmdline), buttons: PowerButton::all(Path::new("/")) };
    loop {
        init.tend();
        init.wait(&signals)?;
    }
}

/// Mounts file systems and loads modules. What fails is said on the console, and the rest goes on:
/// a guest that half works is better than one that panics.
fn set_up() {
    if let Err(error) = pid1::mount_api_filesystems() {
        complain(&error);
    }
    // An image without the list has no modules to load.
    let list = std::fs::read_to_string(pid1::MODULES).unwrap_or_default();
    for module in list.lines().filter(|line| !line.is_empty()) {
        if let Err(error) = pid1::load_module(Path::new(module)) {
            complain(&error);
        }
    }
    if let Err(failure) = modules::load_drivers(&Tree::new("/")) {
        complain(&io::Error::other(failure.text));
    }
}

/// Says what went wrong, with its causes, on the console.
pub fn complain(error: &dyn std::error::Error) {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    // There may be no console.
    let _ = io::Write::write_all(&mut io::stderr(), format!("dimmer-agent: {text}\n").as_bytes());
}

/// What PID 1 keeps running.
fn services(cmdline: &str) -> Vec<Service> {
    let mut services = vec![Service::agent()];
    if console::is_named(cmdline, Path::new("/dev")) {
        services.push(Service::console());
    }
    services
}

/// What PID 1 watches over.
#[derive(Debug)]
struct Init {
    services: Vec<Service>,
    buttons: Vec<PowerButton>,
}

impl Init {
    /// Reaps what has ended and starts what is due.
    fn tend(&mut self) {
        while let Some((pid, status)) = ended() {
            self.services.iter_mut().for_each(|service| service.ended(pid, status));
        }
        let now = Instant::now();
        self.services.iter_mut().for_each(|service| service.start_if_due(now));
    }

    /// Waits for a signal, the power button, or the moment when a service is due.
    fn wait(&mut self, signals: &Signals) -> io::Result<()> {
        let now = Instant::now();
        let due = self.services.iter().filter_map(Service::due).min();
        let timeout = due.map(|due| timespec(due.saturating_duration_since(now)));
        let mut sources = vec![PollFd::new(signals, PollFlags::IN)];
        sources.extend(self.buttons.iter().map(|button| PollFd::new(button, PollFlags::IN)));
        match poll(&mut sources, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        drop(sources);
        if let Some(end) = signals.taken() {
            complain(&end.now());
        }
        self.look_at_buttons();
        Ok(())
    }

    /// Powers off when a button was pressed, and forgets buttons that are gone.
    fn look_at_buttons(&mut self) {
        let mut pressed = false;
        self.buttons.retain_mut(|button| match button.is_pressed() {
            Ok(now) => {
                pressed |= now;
                true
            }
            Err(_) => false,
        });
        if pressed {
            complain(&End::PowerOff.now());
        }
    }
}

/// A child that has ended, if there is one; the whole system's orphans are children of PID 1.
fn ended() -> Option<(Pid, WaitStatus)> {
    rustix::io::retry_on_intr(|| wait(WaitOptions::NOHANG)).ok().flatten()
}

fn timespec(duration: Duration) -> Timespec {
    let seconds = i64::try_from(duration.as_secs()).expect("services are due within seconds");
    Timespec { tv_sec: seconds, tv_nsec: duration.subsec_nanos().into() }
}
