//! A host with hardware-assisted KVM, wherever we are: this machine, or else an emulated one.
//!
//! | module | what it is |
//! |---|---|
//! | [`detect`] | what this machine is |
//! | [`direct`] | running a command on this machine |
//! | [`emulated`] | running a command in the emulated host: [`qemu`] starts it, `streams` carries the command's |
//! | [`crew`] | workers in as many hosts as there is room for |
//! | [`needs`] | programs that must be there, and how to get them |
//! | [`doctor`] | all of it, as a report |

use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process;
use std::time::Duration;

use dimmer_agent::frames::Invocation;

pub(crate) mod bound;
pub mod crew;
pub mod detect;
pub mod direct;
pub mod doctor;
pub mod emulated;
pub mod needs;
pub mod qemu;
mod streams;

use detect::Kvm;

/// Environment variable that is `emulated` for whatever runs inside the emulated host.
pub const VARIABLE: &str = "DIMMER_HOST";
const EMULATED: &str = "emulated";

/// Exit status of a command that took longer than it may, as timeout(1) has it.
pub const TIMED_OUT: u8 = 124;

/// Why a command was not run, or its end is not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This machine failed to run it.
    #[error(transparent)]
    Direct(#[from] direct::Error),
    /// The emulated host failed.
    #[error(transparent)]
    Emulated(#[from] emulated::Error),
    /// The current process has no working directory or no path.
    #[error("Cannot tell {what}")]
    Process {
        /// What of it.
        what: &'static str,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// Inside the emulated host, yet no KVM.
    #[error("Inside the emulated host there is no KVM either: {0}")]
    NoKvmInside(Kvm),
}

/// How to run a command.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long the command may take, not counting the start of an emulated host; then it is killed.
    pub timeout: Option<Duration>,
    /// Take the emulated host even where there is hardware-assisted KVM.
    pub emulated: bool,
    /// Size of the emulated host.
    pub size: qemu::Size,
}

/// Runs the command on a host with hardware-assisted KVM and gives its exit status: 128 plus the signal if one killed it,
/// [`TIMED_OUT`] when it took too long, 127 and 126 when it was not found or is no program. One line on standard error
/// says which host it is and why.
///
/// On this machine, and without a timeout, the command replaces the current process.
///
/// # Errors
/// [`Error`].
pub fn run(options: &Options, invocation: Invocation) -> Result<u8, Error> {
    let kvm = detect::here();
    if kvm.is_hardware() && !options.emulated {
        crate::output::complain(format_args!("dimmer-lab: host: this machine: {kvm}"));
        return Ok(direct::run(options.timeout, &invocation)?);
    }
    let why = if options.emulated { "asked for with --emulated".to_owned() } else { kvm.to_string() };
    crate::output::complain(format_args!("dimmer-lab: host: emulated (QEMU, several times slower): {why}"));
    let mut invocation = invocation;
    invocation.environment.retain(|(name, _)| name != VARIABLE.as_bytes());
    invocation.environment.push((VARIABLE.into(), EMULATED.into()));
    Ok(emulated::run(options, &invocation)?)
}

/// The command with this process's working directory and environment.
///
/// # Errors
/// [`Error::Process`].
pub fn invocation(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Error> {
    let what = "the working directory";
    let directory = env::current_dir().map_err(|cause| Error::Process { what, cause })?;
    Ok(Invocation {
        directory: directory.into_os_string().into_vec(),
        arguments: arguments.into_iter().map(OsString::into_vec).collect(),
        environment: env::vars_os().map(|(name, value)| (name.into_vec(), value.into_vec())).collect(),
    })
}

/// Whether the current process runs inside the emulated host.
#[must_use]
pub fn is_emulated() -> bool {
    env::var_os(VARIABLE).is_some_and(|host| host == EMULATED)
}

/// Whether machines need an emulated host that this process is not in.
pub fn needs_emulation() -> bool {
    !detect::here().is_hardware()
}

/// Comes back where there is hardware-assisted KVM. Elsewhere runs this very program with the same arguments inside the
/// emulated host, and ends the process with its exit status, or with 2 and a message when that fails.
///
/// A test binary calls this first thing in its `main`: one emulated host then serves all its tests.
pub fn reexec_if_needed() {
    let kvm = detect::here();
    if kvm.is_hardware() {
        return;
    }
    let status = reexec(kvm).unwrap_or_else(|error| {
        crate::output::complain(format_args!("dimmer-lab: {}", crate::chain(&error)));
        2
    });
    process::exit(i32::from(status))
}

fn reexec(kvm: Kvm) -> Result<u8, Error> {
    if is_emulated() {
        return Err(Error::NoKvmInside(kvm));
    }
    let program =
        env::current_exe().map_err(|cause| Error::Process { what: "the path of this program", cause })?;
    let arguments = std::iter::once(program.into_os_string()).chain(env::args_os().skip(1));
    let options = Options { timeout: None, emulated: false, size: qemu::Size::default() };
    run(&options, invocation(arguments)?)
}

/// Says why `program` could not be started, and gives the exit status that a shell would: 127 when it is not there, 126
/// when it is no program.
fn not_started(program: &[u8], cause: &std::io::Error) -> u8 {
    crate::output::complain(format_args!(
        "dimmer-lab: Cannot run {}: {cause}",
        String::from_utf8_lossy(program)
    ));
    if cause.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 }
}
