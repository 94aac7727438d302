//! `dimmer-lab reference`: pages that are made of the programs themselves.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Result;
use crate::reference;

/// Write the pages of reference that are made of the programs themselves.
#[derive(Debug, Args)]
#[command(after_help = "Example: dimmer-lab reference docs")]
pub struct Reference {
    /// An existing directory for them
    directory: PathBuf,
}

impl Reference {
    /// Writes them.
    ///
    /// # Errors
    /// Those of the file system, with the file.
    pub fn run(&self) -> Result {
        for (name, page) in reference::pages() {
            let path = self.directory.join(name);
            std::fs::write(&path, page).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
