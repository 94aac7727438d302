//! What the driver asked for lately, and what it was answered.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::request::{BlockState, Malformed, Request, Response, Span};
use crate::memory::GuestRange;

pub use dimmer_plan::memory::RequestRecord;

/// So many requests are kept; an older one goes when a new one comes.
pub(super) const KEPT: usize = 4096;

/// How often a driver asked for what and was answered how, in the words of [`RequestRecord`].
pub type RequestCounts = BTreeMap<(&'static str, &'static str), u64>;

/// The request and what it was answered, in words.
pub(super) fn words(
    request: Result<Request, Malformed>,
    response: Option<Response>,
) -> (&'static str, &'static str) {
    (kind(request), response.map_or("none", answer))
}

/// The latest requests, oldest first; what is behind the bound of a log that was saved is dropped with the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestLog {
    entries: VecDeque<(Result<Request, Malformed>, Option<Response>)>,
    /// How many there have ever been.
    total: u64,
}

impl RequestLog {
    pub(super) fn push(&mut self, request: Result<Request, Malformed>, response: Option<Response>) {
        while self.entries.len() >= KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back((request, response));
        self.total = self.total.saturating_add(1);
    }

    pub(super) fn records(&self, block_size: u64) -> Vec<RequestRecord> {
        let gone = self.total.saturating_sub(self.entries.len() as u64);
        let record = |(number, (request, response)): (u64, &(_, Option<Response>))| RequestRecord {
            number,
            request: kind(*request).to_owned(),
            range: span(*request).map(|span| range(span, block_size)),
            response: response.map_or("none", answer).to_owned(),
        };
        (gone.saturating_add(1)..=u64::MAX).zip(&self.entries).map(record).collect()
    }
}

const fn kind(request: Result<Request, Malformed>) -> &'static str {
    match request {
        Ok(Request::Plug(_)) => "plug",
        Ok(Request::Unplug(_)) => "unplug",
        Ok(Request::UnplugAll) => "unplug-all",
        Ok(Request::State(_)) => "state",
        Err(Malformed) => "malformed",
    }
}

const fn span(request: Result<Request, Malformed>) -> Option<Span> {
    match request {
        Ok(Request::Plug(span) | Request::Unplug(span) | Request::State(span)) => Some(span),
        Ok(Request::UnplugAll) | Err(Malformed) => None,
    }
}

const fn range(Span { address, blocks }: Span, block_size: u64) -> GuestRange {
    let size = block_size.saturating_mul(blocks as u64);
    let most = u64::MAX - address;
    GuestRange::new(address, if size < most { size } else { most })
}

const fn answer(response: Response) -> &'static str {
    match response {
        Response::Ack => "ack",
        Response::Nack => "nack",
        Response::Busy => "busy",
        Response::Error => "error",
        Response::State(BlockState::Plugged) => "plugged",
        Response::State(BlockState::Unplugged) => "unplugged",
        Response::State(BlockState::Mixed) => "mixed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_requests_go_and_numbers_stay() {
        let mut log = RequestLog::default();
        for block in 0..KEPT as u64 + 3 {
            log.push(Ok(Request::Plug(Span { address: block, blocks: 1 })), Some(Response::Ack));
        }
        let records = log.records(1);
        assert_eq!(records.len(), KEPT);
        let (first, last) = (&records[0], &records[KEPT - 1]);
        assert_eq!((first.number, first.range), (4, Some(GuestRange::new(3, 1))));
        assert_eq!((last.number, last.range), (KEPT as u64 + 3, Some(GuestRange::new(KEPT as u64 + 2, 1))));
    }

    #[test]
    fn a_range_ends_where_addresses_end() {
        let mut log = RequestLog::default();
        log.push(Ok(Request::State(Span { address: u64::MAX - 7, blocks: u16::MAX })), Some(Response::Error));
        let range = log.records(1 << 32)[0].range.unwrap();
        assert_eq!((range.size, range.end()), (7, u64::MAX));
    }
}
