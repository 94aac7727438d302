//! Whoever reads what the laboratory prints may have seen enough (`| head -1`), of complaints as of answers.

use std::process::{Command, Stdio};

/// A scenario as Linux has it.
const RIGHT: &str = "../tests/scenarios/01-six-dimms-at-ratio-301.toml";

/// The command's exit status, and what it complained of, when nobody reads what it prints.
fn unread(arguments: &[&str]) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().expect("the host has a pipe");
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_dimmer-lab"));
    let output = command.args(arguments).stdout(writer).stderr(Stdio::piped()).output().expect("it runs");
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

/// Fetches the kernel that histories are made for, which says what it does where the cache has none yet.
fn fetch() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dimmer-lab"));
    let status =
        command.args(["images", "fetch", "6.12"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(status.expect("it runs").success());
}

#[test]
fn what_only_prints_is_done() {
    fetch();
    let file = RIGHT;
    let commands: [&[&str]; 7] = [
        &["predict", file],
        &["predict", file, "--check"],
        &["predict", file, "--json"],
        &["explain", file, "--block", "48"],
        &["scenario", "schema"],
        &["scenario", "validate", file],
        &["explore", "--print", "--runs", "20"],
    ];
    for command in commands {
        assert_eq!(unread(command), (Some(0), String::new()), "{command:?}");
    }
}

#[test]
fn what_is_found_out_is_the_exit_status_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wrong.toml");
    let text = std::fs::read_to_string(RIGHT).unwrap().replace("48-143 Movable", "48-143 Normal");
    std::fs::write(&file, text).unwrap();
    assert_eq!(unread(&["predict", file.to_str().unwrap(), "--check"]), (Some(1), String::new()));
}

#[test]
fn complaints_that_nobody_reads_change_no_exit_status() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_dimmer-lab"));
    let status = command.args(["predict", "/there/is/none"]).stdout(Stdio::null()).stderr(writer).status();
    assert_eq!(status.unwrap().code(), Some(2));
}
