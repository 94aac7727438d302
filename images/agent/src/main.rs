//! The guest's `/init`: PID 1, and, started by PID 1 as `/init serve`, the agent, which starts
//! `/init kexec` to go over to another kernel, and `/init reserve` to hold memory for it; scenarios start
//! `/init lock` to have memory locked, and people `/init vsock` to talk to the host.

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Duration;

use dimmer_agent::init::{self, SERVE, complain};
use dimmer_agent::pid1::{self, find_port};
use dimmer_agent::protocol::PORT_NAME;
use dimmer_agent::tree::Tree;
use dimmer_agent::{kexec, lock, oom, server, vsock};

/// How long the port is waited for; its device is probed while the guest starts.
const PORT_DEADLINE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    if rustix::process::getpid().is_init() {
        let Err(error) = init::run();
        complain(&error);
        return ExitCode::FAILURE;
    }
    match std::env::args().nth(1).as_deref() {
        Some(SERVE) => serve(),
        Some(kexec::START) => {
            complain(&kexec::start(&Tree::new("/")));
            ExitCode::FAILURE
        }
        Some(lock::LOCK) => {
            let Err(error) = lock::hold(&std::env::args().nth(2).unwrap_or_default());
            complain(&error);
            ExitCode::FAILURE
        }
        Some(vsock::VSOCK) => {
            let mut words = std::env::args().skip(2);
            let mut next = || words.next().unwrap_or_default();
            match vsock::join(&next(), &next()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    complain(&error);
                    ExitCode::FAILURE
                }
            }
        }
        Some(oom::RESERVE) => {
            let Err(error) = oom::be_reserve();
            complain(&error);
            ExitCode::FAILURE
        }
        _ => {
            eprintln!("usage: as PID 1 of a guest, or dimmer-agent {SERVE} inside one");
            ExitCode::from(2)
        }
    }
}

/// Serves the agent's port. A machine without that port needs no agent: that is a success.
fn serve() -> ExitCode {
    if let Err(error) = oom::protect_self() {
        complain(&error);
    }
    if let Err(error) = oom::start_reserve() {
        complain(&error);
    }
    let port = match find_port(PORT_NAME, PORT_DEADLINE) {
        Ok(port) => port,
        Err(error) => {
            complain(&error);
            let none = matches!(error, pid1::Error::NoPort { .. });
            return if none { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
    };
    let result: std::io::Result<Infallible> = server::serve(port, Tree::new("/"));
    let Err(error) = result;
    complain(&error);
    ExitCode::FAILURE
}
