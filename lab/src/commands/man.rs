//! `dimmer-lab man`: manual pages, made of the command line's own words.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory};

use super::Result;
use crate::program::Arguments;

/// Write manual pages.
#[derive(Debug, Args)]
#[command(after_help = "Example: dimmer-lab man /usr/local/share/man/man1")]
pub struct Man {
    /// An existing directory for them
    directory: PathBuf,
}

impl Man {
    /// Writes them: one of the program and one of each subcommand.
    ///
    /// # Errors
    /// Those of the file system, with the directory.
    pub fn run(&self) -> Result {
        clap_mangen::generate_to(Arguments::command(), &self.directory)
            .map_err(|error| format!("{}: {error}", self.directory.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn there_is_a_page_of_every_subcommand() {
        let directory = tempfile::tempdir().unwrap();
        Man { directory: directory.path().to_owned() }.run().unwrap();
        for command in Arguments::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let page = directory.path().join(format!("dimmer-lab-{}.1", command.get_name()));
            let text =
                fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
            assert!(text.contains(".SH SYNOPSIS"), "{text}");
        }
        let nowhere = Man { directory: directory.path().join("nowhere") }.run().unwrap_err().to_string();
        assert!(nowhere.contains("nowhere: "), "{nowhere}");
    }
}
