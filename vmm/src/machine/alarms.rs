//! The alarms of memory devices: one timer for all, watched by the event loop.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use dimmer_devices::alarm::{Alarm, Purpose};
use dimmer_devices::bus::lock;
use vmm_sys_util::timerfd::TimerFd;

/// What is due when. There are no more alarms than devices and purposes, whatever a guest does.
#[derive(Debug)]
struct Due {
    alarms: BTreeMap<(String, Purpose), Instant>,
    timer: TimerFd,
    /// Whether none is to ring at present.
    held: bool,
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
        Ok(Self { due: Mutex::new(Due { alarms: BTreeMap::new(), timer, held: false }), descriptor })
    }

    /// While held, none rings; what has become due meanwhile rings afterwards.
    pub fn hold(&self, held: bool) {
        let mut due = lock(&self.due);
        due.held = held;
        due.set();
    }

    /// Takes the ids of the devices whose time has come, in the order of their times; none while held, even where the
    /// event loop has seen the timer ring before.
    pub fn take(&self) -> Vec<String> {
        let mut due = lock(&self.due);
        if due.held {
            return Vec::new();
        }
        let now = Instant::now();
        let mut rung: Vec<_> =
            due.alarms.iter().filter(|(_, at)| **at <= now).map(|((id, _), at)| (*at, id.clone())).collect();
        due.alarms.retain(|_, at| *at > now);
        due.set();
        rung.sort();
        rung.into_iter().map(|(_, id)| id).collect()
    }
}

impl Due {
    /// Sets the timer to the first alarm.
    fn set(&mut self) {
        let result = match self.alarms.values().min() {
            // A time of 0 would stop the timer.
            Some(at) if !self.held => {
                let left = at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
                self.timer.reset(left, None)
            }
            _ => self.timer.clear(),
        };
        if let Err(error) = result {
            tracing::error!("cannot set a timer: {error}");
        }
    }
}

impl Alarm for Alarms {
    fn after(&self, delay: Duration, device: &str, purpose: Purpose) {
        let mut due = lock(&self.due);
        due.alarms.insert((device.to_owned(), purpose), Instant::now() + delay);
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
        alarms.after(Duration::from_millis(30), "late", Purpose::Delay);
        alarms.after(Duration::from_millis(1), "early", Purpose::Delay);
        alarms.after(Duration::from_secs(3600), "never", Purpose::Delay);
        let mut taken = Vec::new();
        while taken.len() < 2 {
            // Blocks until the timer rings.
            lock(&alarms.due).timer.wait().unwrap();
            taken.extend(alarms.take());
        }
        assert_eq!(taken, ["early", "late"]);
        assert!(alarms.take().is_empty());
    }

    #[test]
    fn a_device_has_one_alarm_for_each_purpose_however_often_it_asks() {
        let alarms = Alarms::new().unwrap();
        for _ in 0..1000 {
            alarms.after(Duration::ZERO, "vmem0", Purpose::Queue);
            alarms.after(Duration::from_secs(3600), "vmem0", Purpose::Delay);
        }
        assert_eq!(lock(&alarms.due).alarms.len(), 2);
        assert_eq!(alarms.take(), ["vmem0"]);
        assert!(alarms.take().is_empty());
        alarms.after(Duration::ZERO, "vmem0", Purpose::Delay);
        assert_eq!(alarms.take(), ["vmem0"], "a new time takes the place of the one before");
    }

    #[test]
    fn while_held_nothing_rings_and_what_has_become_due_rings_afterwards() {
        let alarms = Alarms::new().unwrap();
        let is_armed = || lock(&alarms.due).timer.is_armed().unwrap();
        alarms.after(Duration::ZERO, "before", Purpose::Delay);
        // The event loop has seen this one when it is told to hold them.
        lock(&alarms.due).timer.wait().unwrap();
        alarms.hold(true);
        alarms.after(Duration::from_millis(1), "meanwhile", Purpose::Delay);
        alarms.after(Duration::from_secs(3600), "never", Purpose::Delay);
        assert!(!is_armed());
        assert!(alarms.take().is_empty());
        assert!(!is_armed(), "nor does a look at them set the timer");
        std::thread::sleep(Duration::from_millis(2));
        alarms.hold(false);
        lock(&alarms.due).timer.wait().unwrap();
        assert_eq!(alarms.take(), ["before", "meanwhile"]);
        assert!(is_armed(), "for the one that is left");
        alarms.hold(true);
        alarms.hold(false);
        assert!(is_armed() && alarms.take().is_empty());
    }
}
