//! Builds the static binaries that the crate embeds: from `images/agent` `dimmer-agent`, PID 1 of the guest, and `host-init`, PID 1
//! of the emulated host; from `images/hostile` a guest without a kernel.
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
    let (agent, hostile) = (images.join("agent"), images.join("hostile"));
    let script = hostile.join("guest.ld");
    for watched in [
        agent.join("src"),
        agent.join("Cargo.toml"),
        images.join("report"),
        workspace.join("Cargo.toml"),
        hostile.clone(),
    ] {
        println!("cargo::rerun-if-changed={}", watched.display());
    }
    let binaries = build(&agent, "agent", &["-Ctarget-feature=+crt-static".to_owned()]);
    println!("cargo::rustc-env=DIMMER_AGENT={}", binaries.join("dimmer-agent").display());
    println!("cargo::rustc-env=DIMMER_HOST_INIT={}", binaries.join("host-init").display());
    // No start files and no libraries, at an address of its own.
    let linker = ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none"];
    let mut flags: Vec<String> = linker.iter().map(|argument| format!("-Clink-arg={argument}")).collect();
    flags.extend([format!("-Clink-arg=-Wl,-T,{}", script.display()), "-Crelocation-model=static".to_owned()]);
    let binaries = build(&hostile, "release", &flags);
    println!("cargo::rustc-env=DIMMER_HOSTILE={}", binaries.join("hostile").display());
}

/// Builds the binaries of `package` with these flags; where they are.
fn build(package: &Path, profile: &str, flags: &[String]) -> PathBuf {
    let (target, directory) = (variable("TARGET"), Path::new(&variable("OUT_DIR")).join("static"));
    let mut cargo = Command::new(variable("CARGO"));
    cargo.args(["build", "--quiet", "--bins", "--profile", profile, "--target", &target]);
    cargo.arg("--manifest-path").arg(package.join("Cargo.toml"));
    cargo.arg("--target-dir").arg(&directory);
    for (name, _) in env::vars_os() {
        let profile = name.to_string_lossy().starts_with("CARGO_PROFILE_");
        if profile || INHERITED.iter().any(|inherited| name == *inherited) {
            cargo.env_remove(name);
        }
    }
    let flags: Vec<String> = flags.iter().cloned().chain(renamed()).collect();
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    let status = cargo.status().unwrap_or_else(|error| panic!("Cannot run {cargo:?}: {error}"));
    assert!(status.success(), "{cargo:?} failed: {status}");
    directory.join(target).join(profile)
}

/// What this build was told of names for paths in programs: a package has none of the machine that it was made on.
fn renamed() -> impl Iterator<Item = String> {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let flags: Vec<String> = flags.split('\u{1f}').map(str::to_owned).collect();
    flags.into_iter().filter(|flag| flag.starts_with("--remap-path-prefix="))
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("{name}, which cargo sets for build scripts: {error}"))
}
