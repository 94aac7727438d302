//! `?wait=SECONDS`: from the change that was accepted to its end.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use dimmer_devices::memory::{MemoryEvent, MemoryStatus, Outcome, State};
use serde::Deserialize;
use utoipa::IntoParams;

use super::body::query;
use super::{Api, Problem};
use crate::control::{Command, Reply};
use crate::events::{Event, Hub, MachineEvent, What};

/// Longest time to wait: a day.
const LONGEST: f64 = 86_400.0;

/// The parameter as it comes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// Waits this many seconds, 0 to 86400, for the change to end, and answers 200 (done), 409 (refused or
    /// done in part) or 504 (still in progress) instead of 202.
    #[param(value_type = Option<f64>, minimum = 0, maximum = 86_400)]
    wait: Option<String>,
}

/// How long the client wants to wait, if at all.
#[derive(Debug, Clone, Copy)]
pub struct Wait(pub Option<Duration>);

/// The value of `wait` is no time to wait.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a number of seconds from 0 to {LONGEST}")]
pub struct BadWait;

/// Reads a number of seconds.
///
/// # Errors
/// When it is not a number from 0 to 86400.
pub fn parse_wait(text: &str) -> Result<Duration, BadWait> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=LONGEST).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or(BadWait)
}

impl<S: Send + Sync> FromRequestParts<S> for Wait {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let WaitQuery { wait } = query(parts, state).await?;
        let read = |text: String| {
            let bad = |rule| Problem::new(StatusCode::BAD_REQUEST, format!("wait={text:?}: {rule}"));
            parse_wait(&text).map_err(|rule| bad(rule).with_field("wait"))
        };
        wait.map(read).transpose().map(Self)
    }
}

/// What became of a change so far.
#[derive(Debug)]
pub enum Change {
    /// The guest was asked.
    Accepted(MemoryStatus),
    /// It is done.
    Done(MemoryStatus),
    /// Nothing had to change.
    Nothing,
}

/// Has the machine make a change, and waits for its end if `wait` says so.
///
/// # Errors
/// The machine's refusal; 409 when the change ended in part or not at all, or the machine ended; 504
/// when it is still in progress at the end of `wait`.
pub async fn change(api: &Api, command: Command, Wait(wait): Wait) -> Result<Change, Problem> {
    let (device, after) = match api.call(command).await? {
        Reply::Accepted { device, after } => (device, after),
        Reply::Done => return Ok(Change::Nothing),
        other => return Err(Problem::unexpected(&other)),
    };
    let Some(wait) = wait else { return Ok(Change::Accepted(device)) };
    if matches!(device.state, State::Idle | State::Plugged) {
        return Ok(Change::Done(device));
    }
    let mut stopping = api.stopping.clone();
    let end = async {
        tokio::select! {
            biased;
            end = follow(&api.hub, &device.id, after) => end,
            _ = stopping.wait_for(|stopping| *stopping) => End::Machine("the VMM stops".to_owned()),
        }
    };
    match tokio::time::timeout(wait, end).await {
        Ok(End::Device(status)) => judge(status),
        Ok(End::Machine(reason)) => {
            Err(Problem::new(StatusCode::CONFLICT, format!("the machine ended before the change: {reason}")))
        }
        Ok(End::Missed) => Err(in_progress(api, device, "events came too fast to follow").await),
        Err(_) => Err(in_progress(api, device, &format!("waited {} s", wait.as_secs_f64())).await),
    }
}

fn judge(device: MemoryStatus) -> Result<Change, Problem> {
    let (outcome, reason) = match &device.last {
        None => return Ok(Change::Done(device)),
        Some(last) if last.outcome == Outcome::Done => return Ok(Change::Done(device)),
        Some(last) => (last.outcome, last.reason.as_deref().unwrap_or("the guest gave no reason")),
    };
    let what = if outcome == Outcome::Partial { "done in part" } else { "refused" };
    let detail = format!("{}: {what}: {reason}", device.id);
    Err(Problem::new(StatusCode::CONFLICT, detail).with_device(Some(device)))
}

async fn in_progress(api: &Api, device: MemoryStatus, why: &str) -> Problem {
    let detail = format!("{}: still in progress ({why})", device.id);
    let now = match api.call(Command::Device(device.id)).await {
        Ok(Reply::Device(now)) => Some(now),
        _ => None,
    };
    Problem::new(StatusCode::GATEWAY_TIMEOUT, detail).with_device(now)
}

/// How following a change ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The change ended and left the device like this.
    Device(MemoryStatus),
    /// The machine ended, for this reason.
    Machine(String),
    /// Events were dropped before they could be seen; the end may have been among them.
    Missed,
}

async fn follow(hub: &Hub, id: &str, after: u64) -> End {
    let mut follower = Follower { id, seen: after, accepted: false };
    loop {
        let events = hub.after(follower.seen).await;
        if let Some(end) = events.into_iter().find_map(|event| follower.see(event)) {
            return end;
        }
    }
}

/// Finds one change's end among the events: the first `finished` or `removed` of its device behind the
/// first `accepted` of its device. What finishes before that is an earlier change that this one replaced.
#[derive(Debug)]
struct Follower<'a> {
    id: &'a str,
    seen: u64,
    accepted: bool,
}

impl Follower<'_> {
    fn see(&mut self, event: Event) -> Option<End> {
        let gap = event.sequence != self.seen + 1;
        self.seen = event.sequence;
        if gap {
            return Some(End::Missed);
        }
        match event.what {
            What::Machine(MachineEvent::Ended { reason }) => Some(End::Machine(reason)),
            What::Machine(_) => None,
            What::Memory(event) => self.see_memory(event),
        }
    }

    fn see_memory(&mut self, event: MemoryEvent) -> Option<End> {
        match event {
            MemoryEvent::Accepted { device } => {
                self.accepted |= device.id == self.id;
                None
            }
            MemoryEvent::Finished { device } | MemoryEvent::Removed { device } => {
                (self.accepted && device.id == self.id).then_some(End::Device(device))
            }
            MemoryEvent::Progress { .. } | MemoryEvent::Ost { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
