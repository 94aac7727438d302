//! The watchdog timer: a guest that runs it shows signs of life, or its time is over. What then happens is not its business.
//!
//! What the registers mean, and how a guest is told of them, is in [`dimmer_acpi::watchdog`].

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimmer_acpi::watchdog as block;
use serde::{Deserialize, Serialize};

use crate::alarm::{Alarm, Purpose};
use crate::bus::BusDevice;
use crate::register;

/// Under this name it is called back: no memory device can have it.
pub const ALARM: &str = "the watchdog";

/// The timer.
pub struct Watchdog {
    /// Seconds from a sign of life to the end.
    count: u32,
    /// When the time is over, while it runs.
    due: Option<Instant>,
    bitten: bool,
    /// Whether an alarm is set, which rings before the end or at it: a sign of life sets none.
    alarmed: bool,
    alarm: Arc<dyn Alarm>,
    bite: Box<dyn Fn() + Send>,
}

/// What is saved of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchdogState {
    /// Seconds from a sign of life to the end.
    pub count: u32,
    /// Milliseconds that are left, while it runs.
    pub left_ms: Option<u64>,
    /// Whether the time was over once.
    pub bitten: bool,
}

impl Watchdog {
    /// One that stands; it calls `bite`, on the thread that calls it back, when the time is over.
    pub fn new(alarm: Arc<dyn Alarm>, bite: Box<dyn Fn() + Send>) -> Self {
        Self { count: 30, due: None, bitten: false, alarmed: false, alarm, bite }
    }

    /// System reset: it stands. That it has bitten is for the next guest to see.
    pub fn reset(&mut self) {
        (self.count, self.due) = (30, None);
    }

    /// Its alarm rang.
    pub fn alarm(&mut self) {
        self.alarmed = false;
        let Some(due) = self.due else { return };
        if Instant::now() < due {
            return self.set_alarm(due);
        }
        (self.due, self.bitten) = (None, true);
        (self.bite)();
    }

    /// Its alarm rang while the guest stood still, which is not the guest's fault: it has all its time again.
    pub fn postpone(&mut self) {
        self.alarmed = false;
        if self.due.is_some() {
            self.start();
        }
    }

    fn start(&mut self) {
        let due = Instant::now() + self.time();
        self.due = Some(due);
        if !self.alarmed {
            self.set_alarm(due);
        }
    }

    fn time(&self) -> Duration {
        Duration::from_millis(u64::from(self.count) * u64::from(block::PERIOD))
    }

    fn set_alarm(&mut self, due: Instant) {
        self.alarmed = true;
        self.alarm.after(due.saturating_duration_since(Instant::now()), ALARM, Purpose::Delay);
    }

    fn left(&self) -> Duration {
        self.due.map_or(Duration::ZERO, |due| due.saturating_duration_since(Instant::now()))
    }

    /// A time that is shorter ends earlier than an alarm that is set already, which then is set anew.
    fn set_count(&mut self, count: u32) {
        self.count = count.clamp(1, block::LONGEST);
        self.alarmed = false;
    }

    /// Its state.
    pub fn state(&self) -> WatchdogState {
        let left = u64::try_from(self.left().as_millis()).unwrap_or(u64::MAX);
        WatchdogState { count: self.count, left_ms: self.due.map(|_| left), bitten: self.bitten }
    }

    /// Goes on from `state`: with what was left.
    pub fn restore(&mut self, state: WatchdogState) {
        self.set_count(state.count);
        self.bitten = state.bitten;
        let left = |left| Instant::now() + Duration::from_millis(left).min(self.time());
        self.due = state.left_ms.map(left);
        if let Some(due) = self.due {
            self.set_alarm(due);
        }
    }
}

impl BusDevice for Watchdog {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        let seconds = self.left().as_millis().div_ceil(u128::from(block::PERIOD));
        let value = match u16::try_from(register::start(offset)) {
            Ok(block::COUNT) => self.count,
            Ok(block::LEFT) => u32::try_from(seconds).unwrap_or(u32::MAX),
            Ok(block::RUNNING) => self.due.is_some().into(),
            Ok(block::BITTEN) => self.bitten.into(),
            _ => 0,
        };
        register::read(value, offset, data);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        let (Ok(start), Some(value)) = (u16::try_from(offset), register::written(offset, data)) else {
            return;
        };
        match (start, value) {
            (block::COUNT, count) => self.set_count(count),
            (block::RUNNING, 0) => self.due = None,
            (block::RUNNING, _) => self.start(),
            (block::ALIVE, _) if self.due.is_some() => self.start(),
            (block::BITTEN, 0) => self.bitten = false,
            _ => {}
        }
    }
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchdog").field("count", &self.count).field("due", &self.due).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::bus::lock;

    /// The alarms that were set.
    #[derive(Debug, Default)]
    struct Alarms(Mutex<Vec<Duration>>);

    impl Alarm for Alarms {
        fn after(&self, delay: Duration, device: &str, _: Purpose) {
            assert_eq!(device, ALARM);
            lock(&self.0).push(delay);
        }
    }

    fn watchdog() -> (Watchdog, Arc<Alarms>, Receiver<()>) {
        let (alarms, (sender, bites)) = (Arc::<Alarms>::default(), channel());
        (Watchdog::new(alarms.clone(), Box::new(move || sender.send(()).unwrap())), alarms, bites)
    }

    fn write(watchdog: &mut Watchdog, register: u16, value: u32) {
        watchdog.write(register.into(), &value.to_le_bytes());
    }

    fn read(watchdog: &mut Watchdog, register: u16) -> u32 {
        let mut data = [0; 4];
        watchdog.read(register.into(), &mut data);
        u32::from_le_bytes(data)
    }

    #[test]
    fn it_bites_once_when_the_time_is_over() {
        let (mut watchdog, alarms, bites) = watchdog();
        write(&mut watchdog, block::COUNT, 1);
        write(&mut watchdog, block::ALIVE, 1);
        assert_eq!(read(&mut watchdog, block::RUNNING), 0, "a sign of life starts nothing");
        write(&mut watchdog, block::RUNNING, 1);
        assert_eq!((read(&mut watchdog, block::RUNNING), read(&mut watchdog, block::LEFT)), (1, 1));
        assert_eq!(lock(&alarms.0).len(), 1);
        watchdog.alarm();
        assert_eq!(bites.try_iter().count(), 0, "that was too early");
        watchdog.due = Some(Instant::now());
        watchdog.alarm();
        watchdog.alarm();
        assert_eq!(bites.try_iter().count(), 1);
        assert_eq!((read(&mut watchdog, block::RUNNING), read(&mut watchdog, block::BITTEN)), (0, 1));
        watchdog.reset();
        assert_eq!(read(&mut watchdog, block::BITTEN), 1, "the next guest sees it");
        write(&mut watchdog, block::BITTEN, 0);
        assert_eq!(read(&mut watchdog, block::BITTEN), 0);
    }

    #[test]
    fn signs_of_life_set_no_timer_each() {
        let (mut watchdog, alarms, bites) = watchdog();
        write(&mut watchdog, block::RUNNING, 1);
        (0..1000).for_each(|_| write(&mut watchdog, block::ALIVE, 1));
        assert_eq!(lock(&alarms.0).len(), 1);
        write(&mut watchdog, block::RUNNING, 0);
        watchdog.alarm();
        assert_eq!(bites.try_iter().count(), 0, "one that was stopped does not bite");
    }

    #[test]
    fn times_are_kept_in_bounds() {
        let (mut watchdog, ..) = watchdog();
        for (asked, kept) in [(0, 1), (1, 1), (65535, 65535), (u32::MAX, 65535)] {
            write(&mut watchdog, block::COUNT, asked);
            assert_eq!(read(&mut watchdog, block::COUNT), kept);
        }
        watchdog.write(block::COUNT.into(), &[9]);
        assert_eq!(read(&mut watchdog, block::COUNT), 65535, "half a register is no value");
    }

    #[test]
    fn a_machine_that_goes_on_has_what_was_left() {
        let ((mut before, ..), (mut watchdog, alarms, _bites)) = (watchdog(), watchdog());
        write(&mut before, block::COUNT, 100);
        write(&mut before, block::RUNNING, 1);
        before.due = Some(Instant::now() + Duration::from_secs(7));
        watchdog.restore(before.state());
        let left = lock(&alarms.0)[0];
        assert!(left <= Duration::from_secs(7) && left > Duration::from_secs(6), "{left:?}");
        assert_eq!(read(&mut watchdog, block::COUNT), 100);
        watchdog.postpone();
        assert!(watchdog.left() > Duration::from_secs(90), "a guest that stood still has all its time");
        watchdog.restore(WatchdogState { count: 3, left_ms: Some(u64::MAX), bitten: false });
        assert!(watchdog.left() <= Duration::from_secs(3), "no more than there can be");
        watchdog.restore(WatchdogState { count: 3, left_ms: None, bitten: true });
        assert_eq!((read(&mut watchdog, block::RUNNING), read(&mut watchdog, block::BITTEN)), (0, 1));
    }
}
