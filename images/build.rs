//! Builds the static binaries of `images/agent`, which the crate embeds: `dimmer-agent`, PID 1 of the guest, and
//! `host-init`, PID 1 of the emulated host.
//!
//! They need other flags than the rest (static, small), so a second cargo builds them, in a target directory of its own
//! below `OUT_DIR` and with nothing of this build's flags.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What cargo and clippy put into a build script's environment and a nested cargo would take for its own.
const INHERITED: [&str; 9] = [
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "CLIPPY_ARGS",
    "RUSTC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
    "__CARGO_DEFAULT_LIB_METADATA",
];

fn main() {
    let images = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let workspace = images.parent().expect("the images folder is in the workspace");
    let agent = images.join("agent");
    for watched in [agent.join("src"), agent.join("Cargo.toml"), workspace.join("Cargo.toml")] {
        println!("cargo::rerun-if-changed={}", watched.display());
    }
    let target = variable("TARGET");
    let directory = Path::new(&variable("OUT_DIR")).join("static");
    build(&agent, &target, &directory);
    for (name, binary) in [("DIMMER_AGENT", "dimmer-agent"), ("DIMMER_HOST_INIT", "host-init")] {
        let path = directory.join(&target).join("agent").join(binary);
        println!("cargo::rustc-env={name}={}", path.display());
    }
}

fn build(agent: &Path, target: &str, directory: &Path) {
    let mut cargo = Command::new(variable("CARGO"));
    cargo.args(["build", "--quiet", "--bins", "--profile", "agent", "--target", target]);
    cargo.arg("--manifest-path").arg(agent.join("Cargo.toml"));
    cargo.arg("--target-dir").arg(directory);
    for (name, _) in env::vars_os() {
        let profile = name.to_string_lossy().starts_with("CARGO_PROFILE_");
        if profile || INHERITED.iter().any(|inherited| name == *inherited) {
            cargo.env_remove(name);
        }
    }
    cargo.env("RUSTFLAGS", format!("-C target-feature=+crt-static{}", renamed()));
    let status = cargo.status().unwrap_or_else(|error| panic!("Cannot run {cargo:?}: {error}"));
    assert!(status.success(), "{cargo:?} failed: {status}");
}

/// What this build was told of names for paths in programs: a package has none of the machine that it was made on.
fn renamed() -> String {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let renamed = flags.split('\x1f').filter(|flag| flag.starts_with("--remap-path-prefix="));
    renamed.map(|flag| format!(" {flag}")).collect()
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("{name}, which cargo sets for build scripts: {error}"))
}
