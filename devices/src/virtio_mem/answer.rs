//! What the driver's requests do: blocks are plugged and unplugged, with host memory behind exactly
//! those that are plugged.
//!
//! ERROR is for what the specification calls an error, NACK for more than was requested, and BUSY
//! for what the host cannot do now.

use std::ops::Range;

use super::request::{BlockState, Request, Response, Span};
use super::{VirtioMem, index};
use crate::memory::{GuestRange, HostError};

impl VirtioMem {
    /// Carries `request` out, or not, as the answer says.
    pub(super) fn answer(&mut self, request: Request) -> Response {
        match request {
            Request::Plug(span) => self.resolve(span).map_or(Response::Error, |blocks| self.plug(blocks)),
            Request::Unplug(span) => self.resolve(span).map_or(Response::Error, |blocks| self.unplug(blocks)),
            Request::UnplugAll => self.unplug_all(),
            Request::State(span) => {
                self.resolve(span).map_or(Response::Error, |blocks| self.block_state(blocks))
            }
        }
    }

    /// The blocks of a request, when they are ones the driver may use.
    fn resolve(&self, span: Span) -> Option<Range<usize>> {
        let offset = span.address.checked_sub(self.region.start)?;
        let end = offset.checked_add(u64::from(span.blocks).checked_mul(self.block_size)?)?;
        let valid = span.blocks != 0 && offset.is_multiple_of(self.block_size) && end <= self.usable_size;
        valid.then(|| index(offset / self.block_size)..index(end / self.block_size))
    }

    fn plug(&mut self, blocks: Range<usize>) -> Response {
        if self.plugged.any(blocks.clone()) {
            return Response::Error;
        }
        let size = blocks.len() as u64 * self.block_size;
        if self.plugged_size() + size > self.requested_size {
            return Response::Nack;
        }
        if let Err(error) = self.outside.host.back(&self.id, self.range(&blocks)) {
            return self.busy("plug", &error);
        }
        self.plugged.insert(blocks);
        self.plugged_size_changed();
        Response::Ack
    }

    fn unplug(&mut self, blocks: Range<usize>) -> Response {
        if !self.plugged.all(blocks.clone()) {
            return Response::Error;
        }
        if let Err(error) = self.outside.host.unback(&self.id, self.range(&blocks)) {
            return self.busy("unplug", &error);
        }
        self.plugged.remove(blocks);
        self.plugged_size_changed();
        Response::Ack
    }

    /// Unplugs all blocks, or none. Only here and in a system reset does the usable part shrink.
    fn unplug_all(&mut self) -> Response {
        let runs: Vec<_> = self.plugged.runs().collect();
        for (done, run) in runs.iter().enumerate() {
            if let Err(error) = self.outside.host.unback(&self.id, self.range(run)) {
                self.plug_again(&runs[..done]);
                return self.busy("unplug all", &error);
            }
        }
        self.plugged.clear();
        self.usable_size = self.wanted_usable_size();
        if !runs.is_empty() {
            self.plugged_size_changed();
        }
        Response::Ack
    }

    /// Puts memory back behind blocks that have just lost theirs. The driver has given up what was
    /// in them. Those that get none are unplugged.
    fn plug_again(&mut self, runs: &[Range<usize>]) {
        let before = self.plugged.count();
        for run in runs {
            let range = self.range(run);
            if let Err(error) = self.outside.host.back(&self.id, range) {
                tracing::error!("{}: {range:x?} is unplugged although not all is: {error}", self.id);
                self.plugged.remove(run.clone());
            }
        }
        if self.plugged.count() != before {
            self.plugged_size_changed();
        }
    }

    /// System reset: unplugs all. Blocks that the host cannot take back stay plugged and usable, and
    /// the next driver unplugs them before it does anything else.
    pub(super) fn start_over(&mut self) {
        let runs: Vec<_> = self.plugged.runs().collect();
        let before = self.plugged.count();
        let mut end = 0;
        for run in runs {
            let range = self.range(&run);
            match self.outside.host.unback(&self.id, range) {
                Ok(()) => self.plugged.remove(run),
                Err(error) => {
                    tracing::error!("{}: {range:x?} stays plugged over a system reset: {error}", self.id);
                    end = range.end() - self.region.start;
                }
            }
        }
        self.usable_size = self.wanted_usable_size().max(end);
        if self.plugged.count() != before {
            self.plugged_size_changed();
        }
    }

    fn block_state(&self, blocks: Range<usize>) -> Response {
        Response::State(if self.plugged.all(blocks.clone()) {
            BlockState::Plugged
        } else if self.plugged.any(blocks) {
            BlockState::Mixed
        } else {
            BlockState::Unplugged
        })
    }

    fn busy(&mut self, what: &str, error: &HostError) -> Response {
        if self.busy.first() {
            tracing::warn!("{}: the driver's request to {what} has to wait: {error}", self.id);
        }
        Response::Busy
    }

    /// The addresses of `blocks`.
    pub(super) fn range(&self, blocks: &Range<usize>) -> GuestRange {
        let bytes = |count: usize| count as u64 * self.block_size;
        GuestRange::new(self.region.start + bytes(blocks.start), bytes(blocks.len()))
    }
}
