//! The command lines of both programs as a page.

use clap::{Command, CommandFactory};
use clap_markdown::{MarkdownOptions, help_markdown_command_custom};

use crate::program::Arguments;

/// The page.
pub fn page() -> String {
    format!(
        "# Command lines\n\nMade by `dimmer-lab reference` of the programs themselves; each says the same by `--help`.\n\n{}\n{}",
        program(&dimmer::cli::Cli::command()),
        program(&Arguments::command()),
    )
}

/// The sections of a program's commands, without the page's own head.
fn program(command: &Command) -> String {
    let options = MarkdownOptions::new().show_footer(false).show_table_of_contents(false);
    let page = help_markdown_command_custom(command, &options);
    let start = page.find("\n## ").map_or(0, |at| at + 1);
    page[start..].lines().map(line).collect()
}

/// A line of the page; what is called usage is a form, which nobody types as it stands.
fn line(line: &str) -> String {
    let form = line.strip_prefix("**Usage:** `").and_then(|rest| rest.strip_suffix('`'));
    form.map_or_else(|| format!("{}\n", line.trim_end()), |form| format!("```text\n{form}\n```\n"))
}
