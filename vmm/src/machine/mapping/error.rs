//! What the host can refuse.

use std::io;

use super::huge::Shortage;
use crate::units::Bytes;

/// The host refused, or cannot.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// A system call failed.
    #[error("cannot {step} {size} of host memory: {error}")]
    Step {
        /// What was to be done.
        step: &'static str,
        /// With how much memory.
        size: Bytes,
        /// What the host said.
        #[source]
        error: io::Error,
    },
    /// The pool of huge pages is too small.
    #[error(transparent)]
    HugePages(#[from] Shortage),
    /// Memory that is a file's, or taken before it is touched.
    #[error(
        "a snapshot can only be mapped where --memory has backing=anon, prealloc=off and reserve=off: --restore-memory copy \
         reads it instead"
    )]
    NoBase,
    /// Memory comes in pages.
    #[error("{start:#x}, {size} long: guest memory from pages of {page} must be a multiple of that")]
    Unaligned {
        /// First byte, counted from the area's start.
        start: u64,
        /// How much memory.
        size: Bytes,
        /// Size of a page.
        page: Bytes,
    },
}

/// For `map_err`: names the step that failed.
pub(super) fn at<E: Into<io::Error>>(step: &'static str, size: u64) -> impl FnOnce(E) -> MappingError {
    move |error| MappingError::Step { step, size: Bytes(size), error: error.into() }
}
