//! What is said when the host's pool of huge pages is too small.

use std::path::Path;

use crate::kept;
use crate::units::{Bytes, KIB};

/// The pool cannot give as many huge pages as a step takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the host cannot give {wanted} huge pages of {page} ({size}): {state}; more come from {path}/nr_hugepages ({error})"
)]
pub struct Shortage {
    wanted: u64,
    page: Bytes,
    size: Bytes,
    state: String,
    path: String,
    error: rustix::io::Errno,
}

/// Why a step with `size` bytes of pages of `page` bytes failed with `error`.
pub(super) fn shortage(page: u64, size: u64, error: rustix::io::Errno) -> Shortage {
    let path = format!("/sys/kernel/mm/hugepages/hugepages-{}kB", page / KIB);
    let number = |name: &str| kept::text(&Path::new(&path).join(name)).ok()?.trim().parse::<u64>().ok();
    let state = match (number("free_hugepages"), number("resv_hugepages"), number("nr_hugepages")) {
        // Free pages that somebody has set aside are counted as free, too.
        (Some(free), Some(aside), Some(all)) => {
            format!("{} of its {all} are free", free.saturating_sub(aside))
        }
        _ => "it has no pages of that size".to_owned(),
    };
    Shortage { wanted: size / page, page: Bytes(page), size: Bytes(size), state, path, error }
}
