//! The host as devices see it, which complains when they break its contract.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dimmer_devices::alarm::{Alarm, Purpose};
use dimmer_devices::bus::lock;
use dimmer_devices::fault::Faults;
use dimmer_devices::irq::IrqLine;
use dimmer_devices::memory::{
    Afterwards, EventSink, GuestRange, HostError, HostMemory, MemoryEvent, Outside,
};

/// Everything that is backed or taken back is whole units of so many bytes.
pub const UNIT: u64 = 2 << 20;

/// An interrupt line.
#[derive(Debug, Default)]
pub struct Line(AtomicBool);

impl Line {
    /// Whether it is high.
    pub fn is_high(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl IrqLine for Line {
    fn set(&self, high: bool) {
        self.0.store(high, Ordering::Relaxed);
    }
}

/// Host memory: the owner of each unit that is backed.
#[derive(Debug, Default)]
pub struct Host {
    units: Mutex<BTreeMap<u64, String>>,
    /// Bit by bit, whether the next call of a kind fails; zeroes follow.
    back_fails: AtomicU64,
    unback_fails: AtomicU64,
}

impl Host {
    /// Says which of the next calls fail: the lowest bit is about the first. Those with bit 7 are about taking back, others about
    /// backing: a host that can do neither leaves behind what it half did, which devices can only tell of.
    pub fn fail(&self, which: u8) {
        let (back, unback) = if which & 0x80 == 0 { (which, 0) } else { (0, which & 0x7f) };
        self.back_fails.store(back.into(), Ordering::Relaxed);
        self.unback_fails.store(unback.into(), Ordering::Relaxed);
    }

    /// Says that the next call fails, whatever it is.
    pub fn fail_next(&self, fails: bool) {
        self.back_fails.store(fails.into(), Ordering::Relaxed);
        self.unback_fails.store(fails.into(), Ordering::Relaxed);
    }

    /// The runs of units that `owner` has, ascending.
    pub fn of(&self, owner: &str) -> Vec<GuestRange> {
        let mut runs: Vec<GuestRange> = Vec::new();
        for (unit, _) in lock(&self.units).iter().filter(|(_, other)| *other == owner) {
            match runs.last_mut() {
                Some(last) if last.end() == unit * UNIT => last.size += UNIT,
                _ => runs.push(GuestRange::new(unit * UNIT, UNIT)),
            }
        }
        runs
    }

    /// Bytes that anybody has.
    pub fn backed(&self) -> u64 {
        lock(&self.units).len() as u64 * UNIT
    }
}

/// Whether this call fails; the next bit is about the next one.
fn refuses(calls: &AtomicU64) -> bool {
    let fails = calls.load(Ordering::Relaxed);
    calls.store(fails >> 1, Ordering::Relaxed);
    fails & 1 != 0
}

fn units(range: GuestRange) -> std::ops::Range<u64> {
    let whole = range.size > 0 && range.start.is_multiple_of(UNIT) && range.size.is_multiple_of(UNIT);
    assert!(whole, "{range:x?} is not made of units");
    range.start / UNIT..range.end() / UNIT
}

fn refused() -> HostError {
    HostError("the host has no memory".to_owned())
}

impl HostMemory for Host {
    fn back(&self, owner: &str, range: GuestRange) -> Result<(), HostError> {
        if refuses(&self.back_fails) {
            return Err(refused());
        }
        let mut all = lock(&self.units);
        for unit in units(range) {
            let before = all.insert(unit, owner.to_owned());
            assert_eq!(before, None, "{range:x?} is backed already");
        }
        Ok(())
    }

    fn unback(&self, owner: &str, range: GuestRange) -> Result<(), HostError> {
        if refuses(&self.unback_fails) {
            return Err(refused());
        }
        let mut all = lock(&self.units);
        for unit in units(range) {
            let before = all.remove(&unit);
            assert_eq!(before.as_deref(), Some(owner), "{range:x?} is not backed for {owner}");
        }
        Ok(())
    }

    fn release(&self, ranges: &[GuestRange], _: Afterwards) -> Result<u64, HostError> {
        if refuses(&self.unback_fails) {
            return Err(refused());
        }
        for range in ranges {
            let pages = range.size > 0 && range.start % 4096 == 0 && range.size % 4096 == 0;
            assert!(pages && range.start.checked_add(range.size).is_some(), "{range:x?} is not whole pages");
        }
        Ok(ranges.iter().map(|range| range.size).fold(0, u64::saturating_add))
    }
}

/// Nobody listens, and alarms are rung by whoever likes to.
#[derive(Debug, Default)]
pub struct Silence;

impl EventSink for Silence {
    fn memory(&self, _: MemoryEvent) {}
}

impl Alarm for Silence {
    fn after(&self, _: Duration, _: &str, _: Purpose) {}
}

/// What a memory device on `host` reaches outside itself.
pub fn outside(host: &Arc<Host>) -> Outside {
    Outside {
        host: host.clone(),
        events: Arc::new(Silence),
        faults: Arc::<Faults>::default(),
        alarm: Arc::new(Silence),
    }
}
