//! `examples/rust`: `cargo test` in a project outside of the workspace, with the versions and the target directory of this one.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{said, top};

/// The example in another place, where what cargo writes beside it is in nobody's way. It names this repository's crates.
fn copy(to: &Path) {
    let from = top().join("examples/rust");
    for part in ["src/lib.rs", "tests/layout.rs"] {
        fs::create_dir_all(to.join(part).parent().unwrap()).unwrap();
        fs::copy(from.join(part), to.join(part)).unwrap();
    }
    let manifest = fs::read_to_string(from.join("Cargo.toml")).unwrap();
    assert_eq!(manifest.matches("path = \"../../").count(), 2, "{manifest}");
    let manifest = manifest.replace("path = \"../../", &format!("path = \"{}/", top().display()));
    fs::write(to.join("Cargo.toml"), manifest).unwrap();
    fs::copy(top().join("Cargo.lock"), to.join("Cargo.lock")).unwrap();
}

pub fn its_tests_pass() {
    let directory = tempfile::tempdir().unwrap();
    copy(directory.path());
    // target/debug/dimmer-lab
    let target = Path::new(env!("CARGO_BIN_EXE_dimmer-lab")).ancestors().nth(2).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--offline"]).current_dir(directory.path()).env("CARGO_TARGET_DIR", target);
    let text = said(&mut cargo);
    for test in ["a_guest_grows_and_shrinks", "a_dimm_comes_and_goes"] {
        assert!(text.lines().any(|line| line.contains(test) && line.trim_end().ends_with("ok")), "{text}");
    }
    assert!(text.contains("2 passed; 0 failed"), "{text}");
}
