//! `dimmer-lab scenario`: the format of scenarios, and whether files follow it.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::library;
use crate::output::{say, stdout};
use crate::predict;
use crate::scenario::{self, Scenario};
use clap::{Args, Subcommand};
use std::io::Write;

/// `dimmer-lab scenario`
#[derive(Debug, Args)]
pub struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the format as a JSON schema.
    Schema,
    /// Print the format as a page of tables (docs/scenario-keys.md).
    Keys,
    /// Print the name of every scenario of the library, and what it shows.
    List,
    /// Say what is wrong with scenario files: with the text, and with what happens in it.
    Validate {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

impl Command {
    /// Ends with 1 when a file is not valid.
    pub fn run(&self) -> super::Result {
        match &self.action {
            Action::Schema => say(format_args!("{}", serde_json::to_string_pretty(&Scenario::schema())?))?,
            Action::Keys => stdout().write_all(scenario::page(&Scenario::schema()).as_bytes())?,
            Action::List => {
                for source in library::library()? {
                    say(format_args!("{}\n    {}", source.name, source.scenario.shows))?;
                }
            }
            Action::Validate { files } => return validate(files),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn validate(files: &[PathBuf]) -> super::Result {
    let mut valid = true;
    for file in files {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        match predict::validate(&text, file) {
            Ok(scenario) => say(format_args!("{}: valid, {}", file.display(), steps(scenario.steps.len())))?,
            Err(problems) => {
                valid = false;
                for problem in problems {
                    say(format_args!("{}", problem.trim_end()))?;
                }
            }
        }
    }
    Ok(ExitCode::from(u8::from(!valid)))
}

fn steps(number: usize) -> String {
    format!("{number} {}", if number == 1 { "step" } else { "steps" })
}
