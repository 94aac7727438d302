//! How many processors there are, and are to be.

use axum::Json;
use axum::extract::State;
use dimmer_devices::memory::{self, Outcome};
use dimmer_devices::processors::ProcessorsStatus;

use super::errors::AnyProblem;
use super::wait::{Wait, ended};
use super::{Api, Problem, Shared};
use crate::control::{Command, Reply};
use crate::events::ChangeEnd;

/// How many processors there are.
#[utoipa::path(get, path = "/cpus", responses(
    (status = 200, description = "How many there are and can be, and what becomes of them", body = ProcessorsStatus),
    AnyProblem,
))]
pub async fn cpus(State(api): Shared) -> Result<Json<ProcessorsStatus>, Problem> {
    match api.call(Command::Cpus).await? {
        Reply::Cpus(cpus) => Ok(Json(cpus)),
        other => Err(Problem::unexpected(&other)),
    }
}

/// Asks the guest to have `count` processors, and waits for the end of that if `wait` says so. Returns how that ended, if it has.
///
/// # Errors
/// As for a memory device.
pub async fn resize(api: &Api, count: u32, Wait(wait): Wait) -> Result<Option<ProcessorsStatus>, Problem> {
    // Before the change: it is not made if its end cannot be waited for.
    let _place = wait.map(|_| api.place()).transpose()?;
    let (cpus, end) = match api.call(Command::ResizeCpus(count)).await? {
        Reply::AcceptedCpus { cpus, end } => (cpus, end),
        other => return Err(Problem::unexpected(&other)),
    };
    let Some(wait) = wait else { return Ok(None) };
    if cpus.state == memory::State::Plugged {
        return Ok(Some(cpus));
    }
    match ended(api, end, wait).await? {
        Some(ChangeEnd::Cpus(cpus)) => judge(cpus).map(Some),
        other => {
            let waited = format!("still in progress (waited {} s)", wait.as_secs_f64());
            debug_assert!(other.is_none(), "a change of processors ends as one: {other:?}");
            Err(Problem::new(axum::http::StatusCode::GATEWAY_TIMEOUT, format!("cpus: {waited}")))
        }
    }
}

fn judge(cpus: ProcessorsStatus) -> Result<ProcessorsStatus, Problem> {
    let (outcome, reason) = match &cpus.last {
        Some(last) if last.outcome != Outcome::Done => (last.outcome, last.reason.clone()),
        _ => return Ok(cpus),
    };
    let what = if outcome == Outcome::Partial { "done in part" } else { "refused" };
    let reason = reason.unwrap_or_else(|| "the guest gave no reason".to_owned());
    let ProcessorsStatus { plugged, requested, .. } = cpus;
    let detail = format!("cpus: {what}: {reason}; {plugged} plugged, {requested} requested");
    Err(Problem::new(axum::http::StatusCode::CONFLICT, detail))
}
