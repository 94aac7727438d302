//! What can go wrong between the lab and a guest's agent.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use dimmer_agent::protocol::Failure;

/// Why the guest could not be asked, or what it answered.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// No agent answered in time.
    #[error("No agent answers at {path} within {} s", seconds(waited))]
    NotReady {
        /// The agent socket.
        path: PathBuf,
        /// How long it was tried.
        waited: Duration,
        /// What the last attempt met.
        #[source]
        cause: io::Error,
    },
    /// The connection failed.
    #[error("The connection to the guest's agent failed")]
    Connection(#[source] io::Error),
    /// The machine closed the connection; it has usually ended.
    #[error("The machine closed the agent's connection during \"{0}\"")]
    Closed(String),
    /// No answer came in time.
    #[error(
        "The guest has not answered \"{request}\" within {} s; it may still carry it out",
        seconds(waited)
    )]
    Timeout {
        /// The request.
        request: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The answer is none of this protocol.
    #[error("The guest's answer to \"{request}\" cannot be read")]
    Answer {
        /// The request.
        request: String,
        /// What is wrong with it.
        #[source]
        cause: serde_json::Error,
    },
    /// The guest refused.
    #[error("The guest refused: {0}")]
    Refused(Failure),
    /// The guest still runs as it did before.
    #[error("The guest has not rebooted within {} s", seconds(_0))]
    NotRebooted(Duration),
    /// The layout kept changing, or something stayed under way.
    #[error("The guest's memory layout has not settled within {} s{}", seconds(waited), list(reasons))]
    NotSettled {
        /// How long it was waited for.
        waited: Duration,
        /// What was pending at last, and how the last two reports differed; one line each.
        reasons: Vec<String>,
    },
}

impl GuestError {
    /// The same, of several attempts one after another that were given so long together.
    #[must_use]
    pub fn after(self, waited: Duration) -> Self {
        match self {
            Self::NotReady { path, cause, .. } => Self::NotReady { path, waited, cause },
            other => other,
        }
    }
}

fn seconds(duration: &Duration) -> f64 {
    duration.as_secs_f64()
}

fn list(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n  {line}")).collect()
}
