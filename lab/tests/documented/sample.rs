//! Samples of TOML: scenarios, and files for `dimmer run --config`.

use std::ffi::OsString;
use std::path::Path;

use clap::CommandFactory;
use dimmer::cli::{self, Cli};
use dimmer_lab::check::{Outcome, model};
use dimmer_lab::library::Source;
use dimmer_lab::predict::{usual, validate};

use crate::command;

/// What a scenario has, and nothing else.
const SHOWS: &str = "shows = ";

/// Whether a sample is a scenario.
pub fn is_scenario(text: &str) -> bool {
    text.lines().any(|line| line.starts_with(SHOWS))
}

/// Fails unless the scenario can be carried out, and all that it expects is what the oracle says.
pub fn scenario(text: &str) -> Result<(), String> {
    let name = "sample";
    let scenario = validate(text, Path::new(name)).map_err(|problems| problems.join("\n"))?;
    let release = usual(&scenario, None)?;
    let source = Source { name: name.to_owned(), argument: name.to_owned(), scenario };
    let entry = model::entry(&source, &release.to_string(), release);
    match entry.outcome {
        Outcome::Passed { .. } => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// Fails unless `dimmer run --config` takes the file.
pub fn configuration(text: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("there is room for a file");
    let path = folder.path().join("machine.toml");
    std::fs::write(&path, text).expect("there is room for a file");
    let typed: Vec<OsString> = vec!["dimmer".into(), "run".into(), "--config".into(), path.into()];
    let command = Cli::command();
    let run = command.find_subcommand("run").expect("there is one");
    command::machine(&cli::expanded(typed, run).map_err(|error| error.to_string())?)
}

#[test]
fn what_is_wrong_with_a_sample_is_said() {
    let right = "shows = \"x\"\n[machine]\nmemory_hotplug = [\"method=acpi,slots=1,size=1G\"]\n[[step]]\n\
        plug = { id = \"d0\", size = \"1G\" }\nexpect = { blocks = \"48-55 Movable\" }\n";
    assert_eq!(scenario(right), Ok(()));
    assert!(scenario(&right.replace("Movable", "Normal")).unwrap_err().contains("Normal"));
    assert!(scenario(&right.replace("size=1G", "size=1H")).is_err());
    assert_eq!(configuration("kernel = \"vmlinux\"\ncpus = 2\n"), Ok(()));
    assert!(configuration("kernel = \"vmlinux\"\ncolour = \"red\"\n").is_err());
    assert!(configuration("kernel = \"vmlinux\"\n[memory]\nsize = \"100\"\n").is_err());
}
