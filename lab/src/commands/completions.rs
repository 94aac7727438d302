//! `dimmer-lab completions`: what a shell needs to complete its command lines.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Result;
use crate::output::stdout;
use crate::program::Arguments;

/// Print what a shell needs to complete these command lines.
#[derive(Debug, Args)]
#[command(after_help = "Example: dimmer-lab completions bash > /etc/bash_completion.d/dimmer-lab")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// Prints it.
    ///
    /// # Errors
    /// Those of standard output.
    pub fn run(&self) -> Result {
        stdout().write_all(&text(self.shell))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn text(shell: Shell) -> Vec<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "dimmer-lab", &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subcommand_that_people_use_is_completed() {
        let words = String::from_utf8(text(Shell::Fish)).unwrap();
        for command in Arguments::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            assert!(words.contains(&format!("-a \"{}\"", command.get_name())), "{}", command.get_name());
        }
    }
}
