//! The binary `dimmer-lab`; see [`dimmer_lab::program`].

use std::process::ExitCode;

fn main() -> ExitCode {
    dimmer_lab::program::main()
}
