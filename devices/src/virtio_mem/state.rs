//! What is saved of a virtio-mem device.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use vm_memory::GuestAddress;

use super::blocks::Blocks;
use super::config::check_requested;
use super::held::Held;
use super::log::RequestLog;
use super::request::{Malformed, Received, ReplyTo, Request};
use super::{Stay, VirtioMem, index};
use crate::alarm::{self, Purpose};
use crate::memory::{GuestRange, Last};
use crate::state::StateError;
use crate::virtio::chain::Buffer;

/// A device with its plugged blocks; the host memory behind them is there before it goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VirtioMemState {
    /// Whether it stays where it is.
    pub stay: Stay,
    /// Bytes that the driver is to reach.
    pub requested_size: u64,
    /// Bytes of the region that the driver may use.
    pub usable_size: u64,
    /// The plugged ranges, ascending and apart from each other.
    pub plugged: Vec<GuestRange>,
    /// Plugged size when the change that is under way began, if one is.
    pub change_from: Option<u64>,
    /// How the latest change ended.
    pub last: Option<Last>,
    /// A request that is held back.
    pub held: Option<HeldState>,
    /// The latest requests.
    pub log: RequestLog,
}

/// A request that is held back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldState {
    /// The first descriptor of its chain.
    pub head: u16,
    /// What is asked for.
    pub request: Result<Request, Malformed>,
    /// Guest-physical addresses and bytes of the places for the response.
    pub reply_to: Vec<(u64, u32)>,
    /// How much longer it is held, in milliseconds.
    pub milliseconds: u64,
}

impl VirtioMem {
    pub(super) fn saved(&self) -> VirtioMemState {
        VirtioMemState {
            stay: self.stay,
            requested_size: self.requested_size,
            usable_size: self.usable_size,
            plugged: self.plugged.runs().map(|run| self.range(&run)).collect(),
            change_from: self.change_from,
            last: self.last.clone(),
            held: self.held.as_ref().map(HeldState::of),
            log: self.log.clone(),
        }
    }

    pub(super) fn go_on_from(&mut self, state: &VirtioMemState) -> Result<(), StateError> {
        let complain = |what: &str| StateError(format!("{}: {what}", self.id));
        check_requested(state.requested_size, self.block_size, self.region.size)
            .map_err(|error| complain(&error.to_string()))?;
        StateError::unless(state.usable_size <= self.region.size, || complain("usable_size is too large").0)?;
        let right = state.stay != Stay::Leaving || (state.requested_size == 0 && state.plugged.is_empty());
        StateError::unless(right, || complain("it is to go, and has something").0)?;
        let plugged =
            self.blocks_of(&state.plugged).ok_or_else(|| complain("plugged ranges are no blocks of it"))?;
        let held = state.held.as_ref().map(|held| held.held());
        if let Some(HeldState { milliseconds, .. }) = state.held {
            self.outside.alarm.after(alarm::delay(milliseconds), &self.id, Purpose::Delay);
        }
        let VirtioMemState { stay, requested_size, usable_size, change_from, last, log, .. } = state.clone();
        self.stay = stay;
        (self.requested_size, self.usable_size, self.plugged) = (requested_size, usable_size, plugged);
        (self.change_from, self.last, self.held, self.log) = (change_from, last, held, log);
        Ok(())
    }

    /// The blocks of ascending ranges; nothing when they are none of this device.
    fn blocks_of(&self, ranges: &[GuestRange]) -> Option<Blocks> {
        let mut blocks = Blocks::new(index(self.region.size / self.block_size));
        for range in ranges {
            let offset = range.start.checked_sub(self.region.start)?;
            let end = offset.checked_add(range.size).filter(|end| *end <= self.region.size)?;
            let whole = range.size > 0 && [offset, end].iter().all(|at| at.is_multiple_of(self.block_size));
            let run = index(offset / self.block_size)..index(end / self.block_size);
            if !whole || blocks.any(run.clone()) {
                return None;
            }
            blocks.insert(run);
        }
        Some(blocks)
    }
}

impl HeldState {
    fn of(held: &Held) -> Self {
        let Held { received: Received { head, request, reply_to }, until } = held;
        let left = until.saturating_duration_since(Instant::now());
        let place = |buffer: &Buffer| (buffer.address.0, buffer.length);
        Self {
            head: *head,
            request: *request,
            reply_to: reply_to.iter().flat_map(|ReplyTo(places)| places.iter().map(place)).collect(),
            milliseconds: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn held(&self) -> Held {
        let place =
            |(address, length): &(u64, u32)| Buffer { address: GuestAddress(*address), length: *length };
        let places: Vec<Buffer> = self.reply_to.iter().map(place).collect();
        let reply_to = (!places.is_empty()).then_some(ReplyTo(places));
        let received = Received { head: self.head, request: self.request, reply_to };
        Held { received, until: Instant::now() + alarm::delay(self.milliseconds) }
    }
}
