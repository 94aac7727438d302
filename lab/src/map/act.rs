//! Doing what was asked, and saying what came of it.

use std::path::PathBuf;
use std::time::Duration;

use dimmer::ctl::client::{Method, segment};
use dimmer::units::Bytes;
use dimmer_agent::protocol::BlockResult;
use serde_json::{Value, json};

use super::deed::Deed;
use super::view::Message;
use crate::chain;
use crate::devices::Devices;
use crate::guest::{Guest, GuestError};
use crate::rest::{Answer, Rest};

/// Seconds that a change may take before it is said to be still in progress.
const WAIT: u32 = 60;

/// The machine's sockets.
#[derive(Debug, Clone)]
pub struct Sockets {
    /// Its API.
    pub api: PathBuf,
    /// Its guest's agent.
    pub agent: PathBuf,
}

impl Sockets {
    /// Does `deed`, with connections of its own.
    pub fn carry_out(&self, deed: &Deed) -> Message {
        let done = match deed {
            Deed::Plug { id, size, node } => self.plug(id, *size, *node),
            Deed::Resize { id, size } => self.resize(id, *size),
            Deed::Eject { id } => self.eject(id),
            Deed::Online { blocks, zone } => self.blocks(deed, |guest| guest.online(blocks, *zone)),
            Deed::Offline { blocks } => self.blocks(deed, |guest| guest.offline(blocks)),
        };
        match done {
            Ok(text) => Message::Done(text),
            Err(why) => Message::Failed(why),
        }
    }

    fn plug(&self, id: &str, size: u64, node: u32) -> Result<String, String> {
        let body = json!({"id": id, "kind": "dimm", "size": size, "node": node});
        self.ask(Method::POST, &format!("/memory-devices?wait={WAIT}"), Some(&body))?;
        // Linux reports an insert as done also when it could not add the memory.
        let doubts = self.doubts(id)?;
        if doubts.is_empty() {
            Ok(format!("{id} is plugged, {}", Bytes(size)))
        } else {
            Err(doubts.join("; "))
        }
    }

    fn resize(&self, id: &str, size: u64) -> Result<String, String> {
        let path = format!("/memory-devices/{}?wait={WAIT}", segment(id));
        self.ask(Method::PATCH, &path, Some(&json!({"requested_size": size})))?;
        Ok(format!("{id} has {} plugged", Bytes(size)))
    }

    fn eject(&self, id: &str) -> Result<String, String> {
        self.ask(Method::DELETE, &format!("/memory-devices/{}?wait={WAIT}", segment(id)), None)?;
        Ok(format!("{id} is gone"))
    }

    fn blocks(
        &self,
        deed: &Deed,
        ask: impl FnOnce(&mut Guest) -> Result<Vec<BlockResult>, GuestError>,
    ) -> Result<String, String> {
        let results = self.guest().and_then(|mut guest| ask(&mut guest)).map_err(|error| chain(&error))?;
        refusals(&results).map_or_else(|| Ok(deed.to_string()), Err)
    }

    fn guest(&self) -> Result<Guest, GuestError> {
        Guest::connect(&self.agent, Duration::from_secs(WAIT.into()))
    }

    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, String> {
        let rest = Rest::new(&self.api).map_err(|error| error.to_string())?;
        verdict(rest.ask(method, path, body).map_err(|error| chain(&error))?)
    }

    /// What is odd about the blocks of device `id`, once the guest has settled.
    fn doubts(&self, id: &str) -> Result<Vec<String>, String> {
        let rest = Rest::new(&self.api).map_err(|error| error.to_string())?;
        let devices = rest.tell(Method::GET, "/memory-devices", None).map_err(|error| chain(&error))?;
        let settled = self.guest().and_then(|mut guest| guest.settled(Duration::from_secs(WAIT.into())));
        let layout = settled.map_err(|error| chain(&error))?;
        let mut doubts = Devices::read(&devices).doubts(&layout);
        doubts.retain(|doubt| doubt.split(' ').next() == Some(id));
        Ok(doubts)
    }
}

/// The answer to a change, if it is done; else why it is not.
fn verdict(answer: Answer) -> Result<Answer, String> {
    let detail = answer.body["detail"].as_str().map_or_else(|| answer.body.to_string(), str::to_owned);
    match answer.status {
        200..=299 => Ok(answer),
        409 => Err(format!("refused: {detail}")),
        504 => Err(format!("still in progress after {WAIT} s: {detail}")),
        status => Err(format!("not possible ({status}): {detail}")),
    }
}

/// Which blocks refused, and with what; nothing when all did as asked.
fn refusals(results: &[BlockResult]) -> Option<String> {
    let word = |result: &BlockResult| {
        let error = result.error.as_ref()?;
        Some(format!("block {}: {error}", result.index))
    };
    let refused: Vec<String> = results.iter().filter_map(word).collect();
    let more = refused.len().saturating_sub(3);
    let text = refused.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!refused.is_empty())
        .then(|| format!("the guest refused {} of {}: {text}{more}", refused.len(), results.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_say_no_say_why() {
        let answer = |status| Answer { status, body: json!({"detail": "the guest said so"}) };
        assert!(verdict(answer(200)).is_ok());
        for (status, word) in
            [(409, "refused: the guest"), (504, "still in progress"), (404, "(404): the guest")]
        {
            let error = verdict(answer(status)).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn blocks_that_refuse_are_named_a_few_of_many() {
        let result = |index: u64| BlockResult {
            index,
            error: (index > 48).then(|| "EBUSY".to_owned()),
            errno: (index > 48).then_some(16),
        };
        let all: Vec<_> = (48..56).map(result).collect();
        let expected =
            "the guest refused 7 of 8: block 49: EBUSY, block 50: EBUSY, block 51: EBUSY and 4 more";
        assert_eq!(refusals(&all).as_deref(), Some(expected));
        assert_eq!(refusals(&all[..1]), None);
    }
}
