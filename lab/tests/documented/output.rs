//! Samples of what `dimmer-lab predict` and `dimmer-lab explain` print: the commands are run, and what they print is compared.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::page::{Block, Page};
use crate::shell;

/// The commands that need no machine.
const RUN: [&str; 2] = ["explain", "predict"];
/// A line that stands for any number of lines.
const LEFT_OUT: &str = "…";

/// Every sample of output on a page.
pub fn check(page: &Page) -> Vec<Result<(), String>> {
    let folder = tempfile::tempdir().expect("there is room for files");
    for block in page.blocks.iter().filter(|block| block.language == "toml") {
        write_named(folder.path(), &block.text);
    }
    let all = page.blocks.iter().filter_map(|block| {
        let done = sample(block, folder.path())?;
        Some(done.map_err(|error| format!("{}:{}: {error}", page.name, block.line)))
    });
    all.collect()
}

/// Writes a sample that begins with its name.
fn write_named(folder: &Path, text: &str) {
    let name = text.lines().next().and_then(|line| line.strip_prefix("# "));
    if let Some(name) = name.filter(|name| name.ends_with(".toml") && !name.contains(['/', ' '])) {
        fs::write(folder.join(name), text).expect("there is room for files");
    }
}

/// The command at the beginning of a block and what it is said to print; none if the block is no such sample.
fn sample(block: &Block, folder: &Path) -> Option<Result<(), String>> {
    let (first, rest) = block.text.split_once('\n')?;
    let (_, words) = shell::commands(0, first).pop()?;
    let is_run = words[0] == "dimmer-lab" && words.get(1).is_some_and(|it| RUN.contains(&it.as_str()));
    let is_output = !rest.trim().is_empty() && shell::commands(0, rest).is_empty();
    (is_run && is_output).then(|| {
        let mut lab = Command::new(env!("CARGO_BIN_EXE_dimmer-lab"));
        let output = lab.args(&words[1..]).current_dir(folder).output().expect("the laboratory runs");
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        let (expected, seen) = (lines(rest), lines(&text));
        match is_like(&expected, &seen) {
            true => Ok(()),
            false => Err(format!("{} prints\n{}", words.join(" "), seen.join("\n"))),
        }
    })
}

fn lines(text: &str) -> Vec<&str> {
    text.trim_end().lines().map(str::trim_end).collect()
}

/// Whether what is seen is what is expected, with `…` for any lines.
fn is_like(expected: &[&str], seen: &[&str]) -> bool {
    match (expected, seen) {
        ([], []) => true,
        ([first, rest @ ..], _) if first.trim() == LEFT_OUT => {
            (0..=seen.len()).any(|left_out| is_like(rest, &seen[left_out..]))
        }
        ([first, rest @ ..], [line, later @ ..]) => first == line && is_like(rest, later),
        _ => false,
    }
}

#[test]
fn lines_may_be_left_out_where_that_is_said() {
    let seen = ["a", "b", "c", "d"];
    for expected in [vec!["a", "b", "c", "d"], vec!["a", "…", "d"], vec!["…"], vec!["a", "b", "…"]] {
        assert!(is_like(&expected, &seen), "{expected:?}");
    }
    for expected in [vec!["a", "b", "c"], vec!["a", "…", "c"], vec!["b", "…"], vec![]] {
        assert!(!is_like(&expected, &seen), "{expected:?}");
    }
}
