//! `dimmer merge`: one snapshot out of a chain of differences.

use std::path::PathBuf;

use clap::Args;

/// What was typed after `dimmer merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// The snapshot that the chain ends with
    #[arg(value_name = "DIR")]
    pub snapshot: PathBuf,

    /// The directory of the new snapshot: a new one, or that of an earlier snapshot, which it takes the place of; it may be
    /// DIR itself
    #[arg(value_name = "NEW")]
    pub place: PathBuf,

    /// Make it a difference to this snapshot of the chain (default: a whole snapshot)
    #[arg(long, value_name = "BASE")]
    pub onto: Option<PathBuf>,
}
