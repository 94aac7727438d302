//! `/vmm.*` and `/vm.*`: the machine as a whole. Paths and bodies follow cloud-hypervisor's API.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use dimmer_devices::memory::MemoryStatus;
use dimmer_devices::processors::ProcessorsStatus;
use utoipa::ToSchema;

use super::body::JsonBody;
use super::cloud_hypervisor::Description;
use super::errors::{AnyProblem, ChangeProblems};
use super::types::{Fork, InjectMce, Ping, Resize, ResizeZone, TakeSnapshot};
use super::wait::{Change, Wait, WaitQuery, change};
use super::{Api, Problem, Shared, processors};
use crate::audit::Audit;
use crate::control::{Command, Forked, Reply, VcpuStatus};

/// Says that the VMM is there, and which.
#[utoipa::path(get, path = "/vmm.ping", responses((status = 200, description = "It is there", body = Ping)))]
pub async fn ping() -> Json<Ping> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Json(Ping { build_version: version.clone(), version, pid: std::process::id(), features: Vec::new() })
}

/// Describes the machine.
#[utoipa::path(get, path = "/vm.info", responses(
    (status = 200, description = "The machine", body = Description),
    AnyProblem,
))]
pub async fn info(State(api): Shared) -> Result<Json<Description>, Problem> {
    match api.call(Command::Info).await? {
        Reply::Info(info) => Ok(Json(Description::new(*info, &api.access.spec))),
        other => Err(Problem::unexpected(&other)),
    }
}

/// Holds the machine's books against each other. Whether they agree is in the body: `ok`.
#[utoipa::path(get, path = "/vm.audit", responses(
    (status = 200, description = "What the books say, and where they do not agree", body = Audit),
    AnyProblem,
))]
pub async fn audit(State(api): Shared) -> Result<Json<Audit>, Problem> {
    match api.call(Command::Audit).await? {
        Reply::Audit(audit) => Ok(Json(audit)),
        other => Err(Problem::unexpected(&other)),
    }
}

async fn done(api: &Api, command: Command) -> Result<StatusCode, Problem> {
    match api.call(command).await? {
        Reply::Done => Ok(StatusCode::NO_CONTENT),
        other => Err(Problem::unexpected(&other)),
    }
}

/// Stops the virtual CPUs.
#[utoipa::path(put, path = "/vm.pause", responses(
    (status = 204, description = "They are stopped"),
    AnyProblem,
))]
pub async fn pause(State(api): Shared) -> Result<StatusCode, Problem> {
    done(&api, Command::Pause).await
}

/// Lets the virtual CPUs run.
#[utoipa::path(put, path = "/vm.resume", responses(
    (status = 204, description = "They run"),
    AnyProblem,
))]
pub async fn resume(State(api): Shared) -> Result<StatusCode, Problem> {
    done(&api, Command::Resume).await
}

/// Writes the machine to a directory, and answers when all of it is on disk. A machine that runs is stopped meanwhile. With
/// `base` only the memory is written that changed since that snapshot, from which `track` has to be on.
#[utoipa::path(put, path = "/vm.snapshot", request_body = TakeSnapshot, responses(
    (status = 204, description = "The snapshot is there"),
    ChangeProblems,
))]
pub async fn snapshot(
    State(api): Shared,
    JsonBody(body): JsonBody<TakeSnapshot>,
) -> Result<StatusCode, Problem> {
    done(&api, Command::Snapshot(body.try_into()?)).await
}

/// Starts a child: a machine of its own that begins as a copy of this one, with memory that is shared until one of the two
/// writes to it. Answers when the child is there.
#[utoipa::path(post, path = "/vm.fork", request_body = Fork, responses(
    (status = 201, description = "The child", body = Forked),
    ChangeProblems,
))]
pub async fn fork(
    State(api): Shared,
    JsonBody(body): JsonBody<Fork>,
) -> Result<(StatusCode, Json<Forked>), Problem> {
    match api.call(Command::Fork(body.try_into()?)).await? {
        Reply::Forked(forked) => Ok((StatusCode::CREATED, Json(forked))),
        other => Err(Problem::unexpected(&other)),
    }
}

/// Resets the machine; it starts again with the same devices.
#[utoipa::path(put, path = "/vm.reboot", responses(
    (status = 204, description = "It starts again"),
    AnyProblem,
))]
pub async fn reboot(State(api): Shared) -> Result<StatusCode, Problem> {
    done(&api, Command::Reboot).await
}

/// Presses the power button; what the guest does then is its own affair.
#[utoipa::path(put, path = "/vm.power-button", responses(
    (status = 204, description = "It was pressed"),
    AnyProblem,
))]
pub async fn power_button(State(api): Shared) -> Result<StatusCode, Problem> {
    done(&api, Command::PowerButton).await
}

/// Sends the guest a non-maskable interrupt, which reaches it whatever it does: to the vCPUs whose local APIC takes it from the
/// line that machines have for it (LINT1), with Linux the first one. What the guest does then is its own affair: a panic, with
/// `unknown_nmi_panic` on its command line.
#[utoipa::path(put, path = "/vm.nmi", responses(
    (status = 204, description = "It was sent"),
    ChangeProblems,
))]
pub async fn nmi(State(api): Shared) -> Result<StatusCode, Problem> {
    done(&api, Command::InjectNmi).await
}

/// Where the vCPUs are, which stand still meanwhile.
#[utoipa::path(get, path = "/vcpus", responses(
    (status = 200, description = "All of them", body = Vec<VcpuStatus>),
    ChangeProblems,
))]
pub async fn vcpus(State(api): Shared) -> Result<Json<Vec<VcpuStatus>>, Problem> {
    match api.call(Command::Vcpus).await? {
        Reply::Vcpus(vcpus) => Ok(Json(vcpus)),
        other => Err(Problem::unexpected(&other)),
    }
}

/// Ends the machine at once.
#[utoipa::path(put, path = "/vm.shutdown", responses(
    (status = 204, description = "It ends"),
    AnyProblem,
))]
pub async fn shutdown(State(api): Shared) -> Result<StatusCode, Problem> {
    done(&api, Command::Shutdown).await
}

/// Reports a hardware memory error to the guest.
#[utoipa::path(post, path = "/vm.inject-mce", request_body = InjectMce, responses(
    (status = 204, description = "It was reported; what the guest does then is its own affair"),
    ChangeProblems,
))]
pub async fn inject_mce(
    State(api): Shared,
    JsonBody(InjectMce { address, severity }): JsonBody<InjectMce>,
) -> Result<StatusCode, Problem> {
    done(&api, Command::InjectMce { address, severity }).await
}

/// 204 or, after a wait, 200 with the device that was changed.
fn respond(change: Change) -> Response {
    match change {
        Change::Accepted(_) | Change::Nothing => StatusCode::NO_CONTENT.into_response(),
        Change::Done(device) => Json(device).into_response(),
    }
}

/// Asks for a number of virtual CPUs, for what is to be in the balloon, and for an amount of RAM in all, boot RAM and memory
/// devices; in this order. What is to be in the balloon is not waited for.
#[utoipa::path(put, path = "/vm.resize", params(WaitQuery), request_body = Resize, responses(
    (status = 200, description = "With wait: it is done; the memory device that was changed, or else the processors", body = Resized),
    (status = 204, description = "The guest was asked, or had that much already"),
    ChangeProblems,
))]
pub async fn resize(
    State(api): Shared,
    wait: Wait,
    JsonBody(body): JsonBody<Resize>,
) -> Result<Response, Problem> {
    body.check(&api.access.spec)?;
    let cpus = match body.desired_vcpus {
        Some(count) => processors::resize(&api, count, wait).await?,
        None => None,
    };
    if let Some(size) = body.desired_balloon.filter(|_| api.access.spec.balloon.is_some()) {
        done(&api, Command::SetBalloon(size)).await?;
    }
    match body.desired_ram {
        Some(size) => Ok(respond(change(&api, Command::ResizeTotal(size), wait).await?)),
        None => Ok(cpus.map_or_else(|| respond(Change::Nothing), |cpus| Json(cpus).into_response())),
    }
}

/// What a resize changed.
#[derive(Debug, ToSchema)]
#[schema(title = "Resized")]
#[serde(untagged)]
#[expect(dead_code, reason = "it stands for the two in the document")]
pub enum Resized {
    /// A memory device.
    Device(MemoryStatus),
    /// The processors.
    Cpus(ProcessorsStatus),
}

/// Asks for a memory device's plugged size.
#[utoipa::path(put, path = "/vm.resize-zone", params(WaitQuery), request_body = ResizeZone, responses(
    (status = 200, description = "With wait: it is done; the device", body = MemoryStatus),
    (status = 204, description = "The guest was asked, or the size is that already"),
    ChangeProblems,
))]
pub async fn resize_zone(
    State(api): Shared,
    wait: Wait,
    JsonBody(ResizeZone { id, desired_ram }): JsonBody<ResizeZone>,
) -> Result<Response, Problem> {
    Ok(respond(change(&api, Command::Resize { id, size: desired_ram }, wait).await?))
}
