//! Dimmer and other machine monitors measured side by side: the same host, kernel, initramfs, command line, processors and
//! RAM, one after the other in each round, so that what else the host does meets all of them.
//!
//! | module | what it is |
//! |---|---|
//! | [`peer`] | the programs: how each is started and asked for memory |
//! | [`machine`] | a machine of one of them, which runs |
//! | [`measure`] | what is measured; each a small file |
//! | [`worker`] | the part that runs on the host with KVM |
//! | [`statistics`] | medians, ratios and their intervals |
//! | [`report`] | what came of it, as text, JSON, Markdown and HTML |

use serde::{Deserialize, Serialize};

mod console;
mod http;
pub mod machine;
pub mod measure;
mod memory;
pub mod peer;
mod qmp;
pub mod report;
pub mod statistics;
pub mod worker;

use peer::Program;

/// Why nothing was measured.
pub type Error = Box<dyn std::error::Error>;

/// Bytes of a MiB.
const MIB: u64 = 1 << 20;
/// Bytes of a GiB.
const GIB: u64 = 1 << 30;

/// One measure on one program, once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// The measure's name.
    pub measure: String,
    /// The program.
    pub program: Program,
}

/// What came of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// A value for each column of the measure; none where the program has nothing of the kind.
    Values(Vec<Option<f64>>),
    /// The program cannot do what is measured.
    Cannot(String),
    /// It failed.
    Failed(String),
}

/// That a program has nothing of the kind that is measured.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Cannot(pub String);

impl Cannot {
    /// For measures and peers: it has no `what`.
    #[must_use]
    pub fn without(what: &str) -> Error {
        Self(format!("it has no {what}")).into()
    }
}

impl From<Result<Vec<Option<f64>>, Error>> for Outcome {
    fn from(result: Result<Vec<Option<f64>>, Error>) -> Self {
        match result {
            Ok(values) => Self::Values(values),
            Err(error) => match error.downcast_ref::<Cannot>() {
                Some(Cannot(why)) => Self::Cannot(why.clone()),
                None => Self::Failed(crate::chain(&*error)),
            },
        }
    }
}
