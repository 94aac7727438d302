//! `dimmer-lab playground`: the playground as one file that needs no server.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::serve::standalone::page;

/// `dimmer-lab playground`
///
/// The file has all in it: it can be mailed, or lie on any server of files, and talks to nobody. `packaging/playground FILE` builds
/// the module and writes the file.
///
/// Example: dimmer-lab playground --module target/wasm32-unknown-unknown/page/dimmer_playground.wasm --output playground.html
#[derive(Debug, Args)]
pub struct Playground {
    /// The oracle as a module of wasm, which `cargo build -p dimmer-playground --profile page --target
    /// wasm32-unknown-unknown` makes.
    #[arg(long, value_name = "FILE")]
    module: PathBuf,
    /// Where to write the page.
    #[arg(long, value_name = "FILE", default_value = "playground.html")]
    output: PathBuf,
}

impl Playground {
    /// Writes the file.
    pub fn run(&self) -> super::Result {
        let failed = |flag: &str, path: &PathBuf, error| format!("{flag} {}: {error}", path.display());
        let module = fs::read(&self.module).map_err(|error| failed("--module", &self.module, error))?;
        if !module.starts_with(b"\0asm") {
            return Err(format!("--module {}: it is no module of wasm", self.module.display()).into());
        }
        fs::write(&self.output, page(&module)).map_err(|error| failed("--output", &self.output, error))?;
        Ok(ExitCode::SUCCESS)
    }
}
