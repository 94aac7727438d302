//! `dimmer-lab guest`: asks the agent in the guest to do something.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::guest::{Guest as Agent, GuestError};
use crate::output::{complain, stdout};
use clap::{Args, Subcommand};
use dimmer_agent::blocks::BlockList;
use dimmer_agent::protocol::{BlockResult, KexecLoad, Parameter, Status, ZoneKind};

mod memory;

/// `dimmer-lab guest`
#[derive(Debug, Args)]
pub struct Guest {
    /// The machine's agent socket, as given to `dimmer run --agent-socket`.
    #[arg(long, value_name = "PATH")]
    agent_socket: PathBuf,
    #[command(flatten)]
    timeout: Timeout,
    #[command(subcommand)]
    request: Request,
}

/// How long the guest may take.
#[derive(Debug, Args)]
pub struct Timeout {
    /// Seconds that the guest may take to be ready, and then to answer.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = parse_seconds)]
    timeout: Duration,
}

impl Timeout {
    /// The time.
    pub fn duration(&self) -> Duration {
        self.timeout
    }
}

#[derive(Debug, Subcommand)]
enum Request {
    /// Run a command; its output and exit status become this command's.
    Exec {
        /// Give it this command's standard input, which is read to its end first.
        #[arg(long)]
        stdin: bool,
        /// The command and its arguments.
        #[arg(required = true, last = true, value_name = "CMD")]
        argv: Vec<String>,
    },
    /// Online memory blocks, to the zone that the guest's policy chooses.
    Online {
        /// Block numbers, such as 48-79,144.
        blocks: BlockList,
        /// To a kernel zone instead.
        #[arg(long, conflicts_with = "movable")]
        kernel: bool,
        /// To the movable zone instead.
        #[arg(long)]
        movable: bool,
    },
    /// Offline memory blocks.
    Offline {
        /// Block numbers, such as 48-79,144.
        blocks: BlockList,
    },
    /// Set the guest's memory hotplug policy: auto_online_blocks, online_policy, auto_movable_ratio,
    /// auto_movable_numa_aware.
    Set {
        /// Such as online_policy=auto-movable; set in the order given.
        #[arg(required = true, value_name = "NAME=VALUE", value_parser = parse_assignment)]
        assignments: Vec<(Parameter, String)>,
    },
    /// Print the kernel's log.
    Log {
        /// Begin at this record number.
        #[arg(long, value_name = "N", default_value = "0")]
        since: u64,
        /// One JSON object per record, with its number and level.
        #[arg(long)]
        json: bool,
    },
    /// Have the guest itself begin to eject an ACPI memory device.
    Eject {
        /// The device's slot, which is its _UID.
        slot: u32,
    },
    /// Load an optional kernel module of the initramfs, such as memory-notifier-error-inject.
    LoadModule {
        /// Its name.
        name: String,
    },
    /// Remove such a module again.
    UnloadModule {
        /// Its name.
        name: String,
    },
    /// Print physical memory that the guest's kernel does not claim, such as a window of memory devices.
    Peek {
        /// First address, such as 0x180000000.
        #[arg(value_parser = memory::parse_address)]
        address: u64,
        /// Number of bytes.
        #[arg(default_value = "64")]
        count: usize,
    },
    /// Write physical memory that the guest's kernel does not claim.
    Poke {
        /// First address, such as 0x180000000.
        #[arg(value_parser = memory::parse_address)]
        address: u64,
        /// What to write, in hexadecimal, such as 00c0ffee.
        bytes: memory::Hex,
    },
    /// Hold a page in the guest, so that its block cannot be offlined, and print where it is.
    Pin {
        /// Blocks that the page may be in, such as 48-55.
        blocks: BlockList,
    },
    /// Let such a page go.
    Unpin {
        /// Its address, as pin printed it.
        #[arg(value_parser = memory::parse_address)]
        address: u64,
    },
    /// Load another kernel, from files that are in the guest.
    KexecLoad {
        /// Its bzImage.
        kernel: String,
        /// Its initramfs.
        initramfs: String,
        /// Its command line.
        #[arg(long, value_name = "STR", default_value = "")]
        cmdline: String,
        /// Start it when the guest's kernel panics; that needs crashkernel= on its command line.
        #[arg(long)]
        on_crash: bool,
    },
    /// Have the guest go over to the loaded kernel.
    Kexec,
    /// Make the guest's kernel panic.
    Crash,
    /// Have the guest switch itself off.
    Poweroff,
    /// Have the guest restart itself.
    Reboot,
}

impl Guest {
    /// Asks the guest; exit status 1 when it refuses or does not answer in time.
    pub fn run(&self) -> super::Result {
        let mut agent = Agent::connect(&self.agent_socket, self.timeout.duration())?;
        agent.set_patience(self.timeout.duration());
        match &self.request {
            Request::Exec { stdin, argv } => exec(&mut agent, argv, *stdin),
            Request::Online { blocks, kernel, movable } => {
                let kernel = kernel.then_some(ZoneKind::Kernel);
                blocks_done(agent.online(blocks, kernel.or(movable.then_some(ZoneKind::Movable))))
            }
            Request::Offline { blocks } => blocks_done(agent.offline(blocks)),
            Request::Set { assignments } => {
                done(assignments.iter().try_for_each(|(name, value)| agent.set(*name, value)))
            }
            Request::Log { since, json } => log(&mut agent, *since, *json),
            Request::Eject { slot } => done(agent.eject(*slot)),
            Request::LoadModule { name } => done(agent.load_module(name)),
            Request::UnloadModule { name } => done(agent.unload_module(name)),
            Request::Peek { address, count } => memory::peek(&mut agent, *address, *count),
            Request::Poke { address, bytes } => done(agent.poke(*address, &bytes.0)),
            Request::Pin { blocks } => memory::pin(&mut agent, blocks),
            Request::Unpin { address } => done(agent.unpin(*address)),
            Request::KexecLoad { kernel, initramfs, cmdline, on_crash } => {
                done(agent.kexec_load(&KexecLoad {
                    kernel: kernel.clone(),
                    initramfs: initramfs.clone(),
                    cmdline: cmdline.clone(),
                    on_crash: *on_crash,
                }))
            }
            Request::Kexec => done(agent.kexec()),
            Request::Crash => done(agent.crash()),
            Request::Poweroff => done(agent.power_off()),
            Request::Reboot => done(agent.reboot()),
        }
    }
}

/// What an error means for the exit status: 2 when there is no agent to ask, else 1, since the
/// guest then refused or failed to do what it was asked.
pub fn verdict(error: GuestError) -> super::Result {
    match error {
        GuestError::NotReady { .. } | GuestError::Connection(_) => Err(error.into()),
        error => {
            complain(format_args!("dimmer-lab: {}", crate::chain(&error)));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn done(result: Result<(), GuestError>) -> super::Result {
    result.map_or_else(verdict, |()| Ok(ExitCode::SUCCESS))
}

/// Names each block that the guest refused to change.
fn blocks_done(results: Result<Vec<BlockResult>, GuestError>) -> super::Result {
    let results = match results {
        Ok(results) => results,
        Err(error) => return verdict(error),
    };
    let mut status = ExitCode::SUCCESS;
    for BlockResult { index, error, errno } in results {
        if let Some(error) = error {
            let number = errno.map(|errno| format!(" ({errno})")).unwrap_or_default();
            complain(format_args!("dimmer-lab: the guest refused block {index}: {error}{number}"));
            status = ExitCode::FAILURE;
        }
    }
    Ok(status)
}

fn exec(agent: &mut Agent, argv: &[String], pass_stdin: bool) -> super::Result {
    let mut stdin = Vec::new();
    if pass_stdin {
        io::stdin().lock().read_to_end(&mut stdin)?;
    }
    let executed = match agent.exec(argv, &stdin) {
        Ok(executed) => executed,
        Err(error) => return verdict(error),
    };
    stdout().write_all(&executed.stdout.0)?;
    // Nor need anybody read what it complained of.
    let _ = io::stderr().lock().write_all(&executed.stderr.0);
    stdout().flush()?;
    Ok(ExitCode::from(exit_status(executed.status)))
}

/// The status as a shell gives it: the exit code, or 128 and the signal's number.
pub fn exit_status(status: Status) -> u8 {
    let status = match status {
        Status::Code(code) => code,
        Status::Signal(signal) => 128 + signal,
    };
    u8::try_from(status).unwrap_or(u8::MAX)
}

fn log(agent: &mut Agent, since: u64, json: bool) -> super::Result {
    let log = match agent.kernel_log(since) {
        Ok(log) => log,
        Err(error) => return verdict(error),
    };
    let mut output = io::BufWriter::new(stdout());
    for record in log.records {
        if json {
            serde_json::to_writer(&mut output, &record)?;
            writeln!(output)?;
        } else {
            let (seconds, micros) = (record.time_us / 1_000_000, record.time_us % 1_000_000);
            writeln!(output, "[{seconds:5}.{micros:06}] {}", record.text)?;
        }
    }
    output.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let invalid = |_| format!("\"{text}\" is no number of seconds, such as 30 or 0.5");
    let seconds: f64 = text.parse().map_err(|error: std::num::ParseFloatError| invalid(error.to_string()))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| invalid(error.to_string()))
}

fn parse_assignment(text: &str) -> Result<(Parameter, String), String> {
    let (name, value) =
        text.split_once('=').ok_or("expected NAME=VALUE, such as online_policy=auto-movable")?;
    let parameter = Parameter::named(name).ok_or_else(|| {
        let names = Parameter::ALL.map(|(name, _)| name).join(", ");
        format!("\"{name}\" is no parameter; valid are {names}")
    })?;
    Ok((parameter, value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_a_shell() {
        assert_eq!(exit_status(Status::Code(0)), 0);
        assert_eq!(exit_status(Status::Code(255)), 255);
        assert_eq!(exit_status(Status::Signal(9)), 137);
    }

    #[test]
    fn assignments_name_a_known_parameter() {
        let expected = (Parameter::AutoMovableRatio, "301".to_owned());
        assert_eq!(parse_assignment("auto_movable_ratio=301"), Ok(expected));
        assert_eq!(parse_assignment("online_policy=a=b").unwrap().1, "a=b");
        assert!(parse_assignment("colour=red").unwrap_err().contains("valid are auto_online_blocks"));
        assert!(parse_assignment("online_policy").unwrap_err().contains("NAME=VALUE"));
    }

    #[test]
    fn seconds_may_have_a_fraction_but_must_be_a_time() {
        assert_eq!(parse_seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["", "-1", "soon", "nan", "inf", "1e300"] {
            assert!(parse_seconds(bad).is_err(), "{bad}");
        }
    }
}
