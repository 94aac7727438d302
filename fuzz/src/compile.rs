//! Builds the engine: libFuzzer with all targets, instrumented so that it sees which code an input reaches. A stable compiler
//! does all of it, since the instrumentation is a pass of LLVM's.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;

/// What LLVM is told: counters for each edge, and comparisons, whose operands the engine tries as input.
const INSTRUMENTATION: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
/// Named, so that cargo gives the flags to what is built for the target and not to build scripts as well.
const TARGET: &str = "x86_64-unknown-linux-gnu";
const PROFILE: &str = "fuzz";
const BINARY: &str = "dimmer-fuzz-engine";

/// Builds the engine below `target/fuzz`; its path.
///
/// # Errors
/// When cargo cannot be run, or fails; it has said why by then.
pub fn engine(workspace: &Path) -> Result<PathBuf, Error> {
    let directory = workspace.join("target/fuzz");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--locked", "-p", "dimmer-fuzz", "--bin", BINARY, "--features", "engine"]);
    cargo.args(["--profile", PROFILE, "--target", TARGET]).arg("--target-dir").arg(&directory);
    cargo.current_dir(workspace).env("RUSTFLAGS", INSTRUMENTATION);
    let status = cargo.status()?;
    if !status.success() {
        return Err(format!("the engine was not built: {status}").into());
    }
    Ok(directory.join(TARGET).join(PROFILE).join(BINARY))
}
