//! Which KVM memory slots cover what is backed: pure planning, no KVM.
//!
//! Without a grain, what is backed at once is one slot. With one, slots follow what is backed: cells
//! of the grain's size start at multiples of it, no slot crosses the border of a cell, and within a
//! cell every run of backed memory is one slot. So a cell that is backed as a whole has one slot.
//! The size of a slot cannot change (KVM's api.rst, KVM_SET_USER_MEMORY_REGION): to grow or shrink a
//! run, its slot goes and another one comes.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use dimmer_devices::memory::GuestRange;

/// A slot, and what its user keeps with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot<T> {
    /// What it covers.
    pub range: GuestRange,
    /// For whom.
    pub owner: Arc<str>,
    /// Its user's own.
    pub data: T,
}

/// All slots, by their first address; they do not overlap.
#[derive(Debug)]
pub struct Slots<T> {
    by_start: BTreeMap<u64, Slot<T>>,
}

/// Slots that go and slots that come instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// For whom.
    pub owner: Arc<str>,
    /// First addresses of the slots that go.
    pub old: Vec<u64>,
    /// What the slots that come cover, ascending.
    pub new: Vec<GuestRange>,
}

impl Plan {
    /// Whether memory that stays backed is without a slot in between.
    pub fn interrupts(&self) -> bool {
        !self.old.is_empty() && !self.new.is_empty()
    }

    /// The way back, once this plan was carried out and the slots `gone` went.
    pub fn back<T>(&self, gone: &[Slot<T>]) -> Self {
        let old = self.new.iter().map(|range| range.start).collect();
        Self { owner: self.owner.clone(), old, new: gone.iter().map(|slot| slot.range).collect() }
    }
}

/// The plan cannot be made: the caller's books are wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Something is there already.
    #[error("{:#x}, {:#x} bytes long, cannot be backed for {owner}: {:#x} is backed for {by}", range.start, range.size, at)]
    Occupied {
        /// What was to be backed.
        range: GuestRange,
        /// For whom.
        owner: String,
        /// First address of a slot that is there.
        at: u64,
        /// Whose it is.
        by: String,
    },
    /// A part is not there, or not the owner's.
    #[error("{:#x}, {:#x} bytes long, is not all backed for {owner}: {at:#x} is not", range.start, range.size)]
    Missing {
        /// What was to be taken away.
        range: GuestRange,
        /// From whom.
        owner: String,
        /// The first address that is not there.
        at: u64,
    },
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { by_start: BTreeMap::new() }
    }
}

impl<T> Slots<T> {
    /// All slots, ascending.
    pub fn iter(&self) -> impl Iterator<Item = &Slot<T>> {
        self.by_start.values()
    }

    /// All slots, ascending, with what their user keeps.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot<T>> {
        self.by_start.values_mut()
    }

    /// The slots that have an address of `range`, descending.
    pub fn meeting(&self, range: GuestRange) -> impl Iterator<Item = &Slot<T>> {
        let below = self.by_start.range(..range.end()).rev().map(|(_, slot)| slot);
        below.take_while(move |slot| slot.range.end() > range.start)
    }

    /// The slots with these first addresses, which are there.
    pub fn named<'a>(&'a self, starts: &'a [u64]) -> impl Iterator<Item = &'a Slot<T>> {
        starts.iter().map(|start| &self.by_start[start])
    }

    /// How `range` comes to be backed for `owner`.
    ///
    /// # Errors
    /// [`PlanError::Occupied`].
    pub fn to_back(&self, owner: &str, range: GuestRange, grain: Option<u64>) -> Result<Plan, PlanError> {
        if let Some(other) = self.before(range.end()).filter(|slot| slot.range.overlaps(&range)) {
            let (owner, by) = (owner.to_owned(), other.owner.to_string());
            return Err(PlanError::Occupied { range, owner, at: other.range.start, by });
        }
        let mut plan = Plan { owner: owner.into(), old: Vec::new(), new: Vec::new() };
        let Some(grain) = grain else {
            plan.new.push(range);
            return Ok(plan);
        };
        // A neighbour in the same cell becomes one with what comes.
        let own = |slot: &&Slot<T>| *slot.owner == *owner;
        let left = self.before(range.start).filter(|slot| slot.range.end() == range.start).filter(own);
        let left = left.filter(|_| !range.start.is_multiple_of(grain));
        let right =
            self.by_start.get(&range.end()).filter(own).filter(|_| !range.end().is_multiple_of(grain));
        plan.old.extend(left.into_iter().chain(right).map(|slot| slot.range.start));
        let start = left.map_or(range.start, |slot| slot.range.start);
        let end = right.map_or(range.end(), |slot| slot.range.end());
        plan.new = cells(start, end, grain);
        Ok(plan)
    }

    /// How `range` comes to be no longer backed for `owner`; it may be any part of what is.
    ///
    /// # Errors
    /// [`PlanError::Missing`].
    pub fn to_unback(&self, owner: &str, range: GuestRange) -> Result<Plan, PlanError> {
        let mut plan = Plan { owner: owner.into(), old: Vec::new(), new: Vec::new() };
        let mut at = range.start;
        while at < range.end() {
            let slot = self.before(at + 1).filter(|slot| slot.range.end() > at && *slot.owner == *owner);
            let missing = PlanError::Missing { range, owner: owner.to_owned(), at };
            let slot = slot.ok_or(missing)?.range;
            plan.old.push(slot.start);
            if slot.start < range.start {
                plan.new.push(GuestRange::new(slot.start, range.start - slot.start));
            }
            if range.end() < slot.end() {
                plan.new.push(GuestRange::new(range.end(), slot.end() - range.end()));
            }
            at = slot.end();
        }
        Ok(plan)
    }

    /// Carries out `plan`, which was made for the present slots; `data` goes with its new ones.
    /// Returns the slots that are gone.
    pub fn replace(&mut self, plan: &Plan, data: Vec<T>) -> Vec<Slot<T>> {
        let gone =
            plan.old.iter().map(|start| self.by_start.remove(start).expect("the plan is about these slots"));
        let gone = gone.collect();
        for (range, data) in plan.new.iter().zip(data) {
            self.by_start.insert(range.start, Slot { range: *range, owner: plan.owner.clone(), data });
        }
        gone
    }

    /// The last slot that starts before `address`.
    fn before(&self, address: u64) -> Option<&Slot<T>> {
        self.by_start.range((Unbounded, Excluded(address))).next_back().map(|(_, slot)| slot)
    }
}

/// `[start, end)` cut at multiples of `grain`.
fn cells(start: u64, end: u64, grain: u64) -> Vec<GuestRange> {
    let mut cells = Vec::new();
    let mut at = start;
    while at < end {
        let next = (at - at % grain).saturating_add(grain).min(end);
        cells.push(GuestRange::new(at, next - at));
        at = next;
    }
    cells
}

#[cfg(test)]
mod tests;
