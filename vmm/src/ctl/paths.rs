//! Paths of this process, for a machine whose directory is another one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Failure;

/// A path of this process for the machine, whose directory is another one.
pub(super) fn from_the_root(path: &Path) -> Result<PathBuf, Failure> {
    text(std::path::absolute(path).map_err(Failure::Here)?.into()).map(PathBuf::from)
}

/// What can be said in JSON.
pub(super) fn text(words: OsString) -> Result<String, Failure> {
    words.into_string().map_err(Failure::NoText)
}
