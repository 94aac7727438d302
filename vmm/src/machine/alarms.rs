//! The alarms of memory devices: one timer for all, watched by the event loop.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use dimmer_devices::alarm::Alarm;
use dimmer_devices::bus::lock;
use vmm_sys_util::timerfd::TimerFd;

/// What is due when; the number keeps alarms of one moment apart.
#[derive(Debug)]
struct Due {
    alarms: BTreeSet<(Instant, u64, String)>,
    next: u64,
    timer: TimerFd,
}

/// See the module.
#[derive(Debug)]
pub struct Alarms {
    due: Mutex<Due>,
    descriptor: RawFd,
}

impl Alarms {
    /// No alarms.
    ///
    /// # Errors
    /// When the host has no timer left.
    pub fn new() -> io::Result<Self> {
        let timer = TimerFd::new()?;
        let descriptor = timer.as_raw_fd();
        Ok(Self { due: Mutex::new(Due { alarms: BTreeSet::new(), next: 0, timer }), descriptor })
    }

    /// Takes the ids of the devices whose time has come.
    pub fn take(&self) -> Vec<String> {
        let mut due = lock(&self.due);
        let now = Instant::now();
        let mut ids = Vec::new();
        while let Some((_, _, id)) = due.alarms.first().filter(|(at, _, _)| *at <= now).cloned() {
            due.alarms.pop_first();
            ids.push(id);
        }
        due.set();
        ids
    }
}

impl Due {
    /// Sets the timer to the first alarm.
    fn set(&mut self) {
        let result = match self.alarms.first() {
            // A time of 0 would stop the timer.
            Some((at, _, _)) => {
                let left = at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
                self.timer.reset(left, None)
            }
            None => self.timer.clear(),
        };
        if let Err(error) = result {
            tracing::error!("cannot set a timer: {error}");
        }
    }
}

impl Alarm for Alarms {
    fn after(&self, delay: Duration, device: &str) {
        let mut due = lock(&self.due);
        due.next += 1;
        let alarm = (Instant::now() + delay, due.next, device.to_owned());
        due.alarms.insert(alarm);
        due.set();
    }
}

/// Readable when something is due.
impl AsRawFd for Alarms {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_come_in_the_order_of_their_times() {
        let alarms = Alarms::new().unwrap();
        alarms.after(Duration::from_millis(30), "late");
        alarms.after(Duration::from_millis(1), "early");
        alarms.after(Duration::from_secs(3600), "never");
        let mut taken = Vec::new();
        while taken.len() < 2 {
            // Blocks until the timer rings.
            lock(&alarms.due).timer.wait().unwrap();
            taken.extend(alarms.take());
        }
        assert_eq!(taken, ["early", "late"]);
        assert!(alarms.take().is_empty());
    }
}
