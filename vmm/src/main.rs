//! The binary `dimmer`; see [`dimmer::program`].

use std::process::ExitCode;

fn main() -> ExitCode {
    dimmer::program::main()
}
