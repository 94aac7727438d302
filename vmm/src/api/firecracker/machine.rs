//! `/`, `/version`, `/machine-config`, `/vm` and `/actions`: the machine as a whole.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::{Api, Problem, Shared};
use super::fault::{Body, Fault, too_late};
use crate::control::{Command, Reply, VmInfo, VmState};
use crate::spec::Backing;
use crate::units::MIB;

/// The body of `GET /`.
#[derive(Debug, Serialize)]
pub struct Instance {
    app_name: &'static str,
    /// The fork's name, or the program's.
    id: String,
    /// `Running` or `Paused`.
    state: &'static str,
    vmm_version: &'static str,
}

/// The body of `GET /version`.
#[derive(Debug, Serialize)]
pub struct Version {
    firecracker_version: &'static str,
}

/// The body of `GET /machine-config`.
#[derive(Debug, Serialize)]
pub struct MachineConfig {
    vcpu_count: u32,
    mem_size_mib: u64,
    smt: bool,
    /// Whether a difference can be written.
    track_dirty_pages: bool,
    /// `None`, `Transparent`, `2M` or `1G`.
    huge_pages: &'static str,
}

/// The body of `PATCH /vm`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewState {
    /// What the virtual CPUs are to do.
    state: Wanted,
}

/// What virtual CPUs are to do.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
pub enum Wanted {
    /// To stop.
    Paused,
    /// To run.
    Resumed,
}

/// The body of `PUT /actions`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// What is to be done.
    action_type: ActionType,
}

/// What can be done.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
pub enum ActionType {
    /// To write metrics, which here are read instead: `GET /metrics`.
    FlushMetrics,
    /// To start the machine, which has started.
    InstanceStart,
    /// To ask the guest to end: the power button is pressed, for there is no keyboard.
    SendCtrlAltDel,
}

/// What the machine says of itself.
pub async fn info(api: &Api) -> Result<VmInfo, Fault> {
    match api.call(Command::Info).await? {
        Reply::Info(info) => Ok(*info),
        other => Err(Problem::unexpected(&other).into()),
    }
}

/// Has something done that has no answer.
pub async fn done(api: &Api, command: Command) -> Result<StatusCode, Fault> {
    match api.call(command).await? {
        Reply::Done | Reply::Accepted { .. } => Ok(StatusCode::NO_CONTENT),
        other => Err(Problem::unexpected(&other).into()),
    }
}

/// Says that the machine is there.
pub async fn instance(State(api): Shared) -> Result<Json<Instance>, Fault> {
    let info = info(&api).await?;
    let state = match info.state {
        VmState::Running => "Running",
        VmState::Paused => "Paused",
    };
    let id = info.id.unwrap_or_else(|| "dimmer".to_owned());
    Ok(Json(Instance { app_name: "Dimmer", id, state, vmm_version: env!("CARGO_PKG_VERSION") }))
}

/// Says which version of Dimmer it is.
pub async fn version() -> Json<Version> {
    Json(Version { firecracker_version: env!("CARGO_PKG_VERSION") })
}

/// Describes the machine.
pub async fn config(State(api): Shared) -> Result<Json<MachineConfig>, Fault> {
    let (info, memory) = (info(&api).await?, &api.access.spec.memory);
    let huge_pages = match memory.backing {
        Backing::Hugetlb(size) if size > 2 * MIB => "1G",
        Backing::Hugetlb(_) => "2M",
        Backing::Anon | Backing::Memfd | Backing::File(_) if memory.thp => "Transparent",
        Backing::Anon | Backing::Memfd | Backing::File(_) => "None",
    };
    Ok(Json(MachineConfig {
        vcpu_count: info.cpus,
        mem_size_mib: info.boot_memory / MIB,
        smt: false,
        track_dirty_pages: info.tracked_since.is_some(),
        huge_pages,
    }))
}

/// Stops the virtual CPUs or lets them run.
pub async fn state(
    State(api): Shared,
    Body(NewState { state }): Body<NewState>,
) -> Result<StatusCode, Fault> {
    let command = match state {
        Wanted::Paused => Command::Pause,
        Wanted::Resumed => Command::Resume,
    };
    done(&api, command).await
}

/// Does something once.
pub async fn action(
    State(api): Shared,
    Body(Action { action_type }): Body<Action>,
) -> Result<StatusCode, Fault> {
    match action_type {
        ActionType::FlushMetrics => Ok(StatusCode::NO_CONTENT),
        ActionType::InstanceStart => Err(too_late()),
        ActionType::SendCtrlAltDel => done(&api, Command::PowerButton).await,
    }
}
