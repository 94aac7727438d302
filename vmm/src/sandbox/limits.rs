//! Limits of the process as a whole: of the host's resources (setrlimit(2)), and of a control group (cgroups(7)).

use std::fs;
use std::io;
use std::path::Path;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::spec::{Limit, SandboxSpec};

/// A limit that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// One of the process's own.
    #[error("--rlimit {}={value}: {error}", limit.key())]
    Limit {
        /// Which.
        limit: Limit,
        /// How much.
        value: u64,
        /// What the host said.
        #[source]
        error: io::Error,
    },
    /// That of a group.
    #[error("--cgroup {path}: {error}")]
    Group {
        /// The group's directory.
        path: String,
        /// What the host said.
        #[source]
        error: io::Error,
    },
}

/// Joins the control group and sets the limits that were asked for: they are this process's and its children's.
///
/// # Errors
/// [`LimitError`] names the flag.
pub fn apply(spec: &SandboxSpec) -> Result<(), LimitError> {
    if let Some(path) = &spec.cgroup {
        join(path).map_err(|error| LimitError::Group { path: path.display().to_string(), error })?;
    }
    for (limit, value) in &spec.limits {
        set(*limit, *value).map_err(|error| LimitError::Limit { limit: *limit, value: *value, error })?;
    }
    Ok(())
}

fn join(group: &Path) -> io::Result<()> {
    // Whoever writes 0 means themselves.
    fs::write(group.join("cgroup.procs"), "0")
}

/// Sets both the soft and the hard limit.
///
/// # Errors
/// What the host says: only root raises a hard limit.
pub fn set(limit: Limit, value: u64) -> io::Result<()> {
    let resource = match limit {
        Limit::Nofile => Resource::Nofile,
        Limit::Fsize => Resource::Fsize,
        Limit::As => Resource::As,
        Limit::Core => Resource::Core,
        Limit::Memlock => Resource::Memlock,
    };
    Ok(setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?)
}
