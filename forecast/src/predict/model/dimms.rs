//! What the oracle says about steps with ACPI memory devices.

use std::ops::Range;

use dimmer_oracle::faults::{Failure, Point};
use dimmer_oracle::linux::Ejected;
use dimmer_oracle::mistake::Mistake;
use dimmer_oracle::rule::Rule;

use super::Prediction;
use crate::scenario::{Effect, NotifyWord, OutcomeWord, Plug};

/// A slot with a device in it.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// The device.
    pub(super) id: String,
    /// Its node.
    pub(super) node: u32,
    /// Its ranges, in the order of `_CRS`.
    pub(super) ranges: Vec<Range<u64>>,
    /// Whether the guest was told of it.
    pub(super) seen: bool,
}

/// What the guest calls an ejection that it began itself, in `_OST`.
const EJECTED_BY_GUEST: u32 = 0x103;

impl Prediction {
    /// The ACPI memory devices that are plugged, told to the guest or not: name, node and ranges of addresses.
    pub fn dimm_ranges(&self) -> impl Iterator<Item = (&str, u32, &[Range<u64>])> {
        self.slots.values().map(|slot| (slot.id.as_str(), slot.node, slot.ranges.as_slice()))
    }

    pub(super) fn plug(&mut self, plug: &Plug) -> Result<Effect, String> {
        let mut effect = Effect { outcome: Some(OutcomeWord::Done), ..Effect::default() };
        for (number, id) in plug.ids().into_iter().enumerate() {
            let ranges =
                self.addresses.place(&plug.dimm(&id)?).map_err(|problem| format!("plug: {problem}"))?;
            let free =
                (0..).find(|slot| !self.slots.contains_key(slot)).expect("slots are numbered without end");
            self.slots.insert(free, Slot { id, node: plug.node, ranges, seen: false });
            match plug.notify(number) {
                _ if self.linux.stuck.is_some() => effect.outcome = Some(OutcomeWord::InProgress),
                NotifyWord::None => effect.outcome = Some(OutcomeWord::InProgress),
                NotifyWord::DeviceCheck => {
                    self.enumerate(free);
                    effect.ost.push((1, 0));
                }
                NotifyWord::BusCheck => {
                    self.bus_check();
                    effect.outcome = Some(OutcomeWord::Done);
                    effect.ost.push((0, 0));
                }
            }
        }
        Ok(effect)
    }

    /// The guest looks at the device in a slot. One that it could not attach before, it tries again.
    pub(super) fn enumerate(&mut self, number: u32) {
        let Some(slot) = self.slots.get_mut(&number) else { return };
        slot.seen = true;
        if self.linux.lingering.contains(&number) || self.linux.dimms.contains_key(&slot.id) {
            return;
        }
        match self.linux.faults.hit(&slot.id, Point::Resources) {
            Some(Failure::Empty) => {}
            _ => self.linux.plug_dimm(&slot.id, &slot.ranges, slot.node),
        }
    }

    /// The guest looks at the devices in all slots.
    fn bus_check(&mut self) {
        for number in self.slots.keys().copied().collect::<Vec<_>>() {
            self.enumerate(number);
        }
    }

    pub(super) fn unplug(&mut self, id: &str) -> Result<Effect, String> {
        let number = self.slot_of(id).ok_or_else(|| format!("unplug: there is no DIMM {id:?}"))?;
        if !self.slots[&number].seen {
            self.empty(number);
            return Ok(Effect { outcome: Some(OutcomeWord::Done), ..Effect::default() });
        }
        let ejected = self.linux.eject_dimm(id);
        let mut ost = ejected.ost();
        if self.linux.memory.makes(Mistake::RefusalIsNotReported) {
            ost.retain(|pair| *pair != (3, 0x82));
        }
        Ok(Effect { outcome: Some(self.ejected(number, &ejected)), ost, ..Effect::default() })
    }

    /// As [`unplug`](Self::unplug), but the guest begins. Where ejecting is switched off it does not even
    /// report that.
    pub(super) fn eject(&mut self, id: &str) -> Result<Effect, String> {
        let number = self.slot_of(id).ok_or_else(|| format!("eject: there is no DIMM {id:?}"))?;
        let ejected = self.linux.eject_dimm(id);
        if let Some(stuck) = &mut self.linux.stuck {
            stuck.by_guest = true;
        }
        let outcome = Some(self.ejected(number, &ejected));
        let ost = match ejected {
            Ejected::Disabled => Vec::new(),
            _ => {
                self.linux.memory.meet(Rule::GuestEjects);
                own(&ejected.ost())
            }
        };
        Ok(Effect { outcome, ost, ..Effect::default() })
    }

    /// What an ejection means for the slot.
    fn ejected(&mut self, number: u32, ejected: &Ejected) -> OutcomeWord {
        match ejected {
            Ejected::Refused { .. } | Ejected::Disabled => return OutcomeWord::Refused,
            Ejected::Stuck { .. } => return OutcomeWord::InProgress,
            Ejected::Gone => {}
        }
        self.linux.lingering.remove(&number);
        let lingers = self.linux.release.keeps_device_until_status_clears();
        match self.linux.faults.hit(&self.slots[&number].id, Point::Eject) {
            Some(fault) => {
                self.linux.lingering.extend(lingers.then_some(number));
                if fault == Failure::Refuse {
                    return OutcomeWord::Refused;
                }
                self.empty(number);
            }
            None => self.empty(number),
        }
        OutcomeWord::Done
    }

    fn empty(&mut self, number: u32) {
        if let Some(slot) = self.slots.remove(&number) {
            self.addresses.give_back(&slot.id);
        }
    }

    fn slot_of(&self, id: &str) -> Option<u32> {
        self.slots.iter().find(|(_, slot)| slot.id == id).map(|(number, _)| *number)
    }

    /// An ejection that waited goes on if it can, and then all that waited for it. Returns what the guest reports.
    pub(super) fn go_on(&mut self) -> Vec<(u32, u32)> {
        let Some((before, ejected)) = self.linux.eject_stuck() else { return Vec::new() };
        if let Some(number) = self.slot_of(&before.id) {
            self.ejected(number, &ejected);
        }
        if matches!(ejected, Ejected::Stuck { .. }) {
            return Vec::new();
        }
        let all = ejected.ost();
        let forgets = self.linux.memory.makes(Mistake::WaitingEjectionForgetsWhoBegan);
        let mut reports = if before.by_guest && !forgets { own(&all) } else { all }.split_off(1);
        let waiting = self.slots.iter().filter(|(_, slot)| !slot.seen).map(|(number, _)| *number);
        for number in waiting.collect::<Vec<_>>() {
            self.enumerate(number);
            reports.push((1, 0));
        }
        reports
    }
}

/// The same reports when the guest began.
fn own(reports: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let source = |report: &(u32, u32)| if report.1 == 0x84 { 3 } else { EJECTED_BY_GUEST };
    reports.iter().map(|report| (source(report), report.1)).collect()
}
