//! `/snapshot/create`: a snapshot of the machine, which is a directory here.

use std::path::PathBuf;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::super::Shared;
use super::fault::{Body, Fault};
use super::machine::{done, info};
use crate::control::Command;
use crate::spec::SnapshotSpec;

/// The body of `PUT /snapshot/create`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// The directory that the snapshot is to be in, from the root on.
    #[schema(value_type = String)]
    snapshot_path: PathBuf,
    /// The same directory, or a path in it: memory lies beside the rest of the snapshot.
    #[schema(value_type = String)]
    mem_file_path: PathBuf,
    /// All of memory, or what was written since the latest snapshot only.
    #[serde(default)]
    snapshot_type: Kind,
}

/// How much of memory is written.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
pub enum Kind {
    /// All of it.
    #[default]
    Full,
    /// What was written since the snapshot from which on writes are tracked.
    Diff,
}

/// Writes the machine to a directory; one that runs is stopped meanwhile.
pub async fn create(State(api): Shared, Body(wanted): Body<Create>) -> Result<StatusCode, Fault> {
    let Create { snapshot_path: destination, mem_file_path, snapshot_type } = wanted;
    if !mem_file_path.starts_with(&destination) {
        return Err(Fault(format!(
            "mem_file_path: {} must be {} or a path in it: a snapshot is one directory",
            mem_file_path.display(),
            destination.display()
        )));
    }
    let base = match snapshot_type {
        Kind::Full => None,
        Kind::Diff => Some(info(&api).await?.tracked_since.ok_or_else(|| {
            let how = "PUT /api/v1/vm.snapshot with \"track\": true begins it";
            Fault(format!("snapshot_type: Diff needs a snapshot from which on writes are tracked; {how}"))
        })?),
    };
    done(&api, Command::Snapshot(SnapshotSpec { destination, base, track: None })).await
}
