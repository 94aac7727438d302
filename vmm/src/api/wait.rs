//! `?wait=SECONDS`: from the change that was accepted to its end.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use dimmer_devices::memory::{MemoryStatus, Outcome, State};
use serde::Deserialize;
use utoipa::IntoParams;

use super::body::query;
use super::{Api, Problem};
use crate::control::{Command, Reply};
use crate::events::{ChangeEnd, Followed};

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
/// when it is still in progress at the end of `wait`; 503 when too many wait already.
pub async fn change(api: &Api, command: Command, Wait(wait): Wait) -> Result<Change, Problem> {
    // Before the change: it is not made if its end cannot be waited for.
    let _place = wait.map(|_| api.place()).transpose()?;
    let (device, end) = match api.call(command).await? {
        Reply::Accepted { device, end } => (device, end),
        Reply::Done => return Ok(Change::Nothing),
        other => return Err(Problem::unexpected(&other)),
    };
    let Some(wait) = wait else { return Ok(Change::Accepted(device)) };
    if matches!(device.state, State::Idle | State::Plugged) {
        return Ok(Change::Done(device));
    }
    match ended(api, end, wait).await? {
        Some(ChangeEnd::Device(status)) => judge(status),
        _ => Err(in_progress(api, device, wait).await),
    }
}

/// The end of a change of something, if it comes within `wait`.
///
/// # Errors
/// 409 when the machine ended before.
pub async fn ended(api: &Api, end: Followed, wait: Duration) -> Result<Option<ChangeEnd>, Problem> {
    let mut stopping = api.stopping.clone();
    let end = async {
        tokio::select! {
            biased;
            end = end.end() => end,
            _ = stopping.wait_for(|stopping| *stopping) => ChangeEnd::Machine("the VMM stops".to_owned()),
        }
    };
    match tokio::time::timeout(wait, end).await {
        Ok(ChangeEnd::Machine(reason)) => {
            Err(Problem::new(StatusCode::CONFLICT, format!("the machine ended before the change: {reason}")))
        }
        Ok(end) => Ok(Some(end)),
        Err(_) => Ok(None),
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

async fn in_progress(api: &Api, device: MemoryStatus, wait: Duration) -> Problem {
    let detail = format!("{}: still in progress (waited {} s)", device.id, wait.as_secs_f64());
    let now = match api.call(Command::Device(device.id)).await {
        Ok(Reply::Device(now)) => Some(now),
        _ => None,
    };
    Problem::new(StatusCode::GATEWAY_TIMEOUT, detail).with_device(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_seconds_of_at_most_a_day() {
        assert_eq!(parse_wait("0"), Ok(Duration::ZERO));
        assert_eq!(parse_wait("2.5"), Ok(Duration::from_millis(2500)));
        assert_eq!(parse_wait("86400"), Ok(Duration::from_secs(86_400)));
        for text in ["", "-1", "-0.1", "NaN", "inf", "86400.1", "1e300", "two", " 1"] {
            assert_eq!(parse_wait(text), Err(BadWait), "{text:?}");
        }
        assert_eq!(BadWait.to_string(), "must be a number of seconds from 0 to 86400");
    }
}
