//! A machine's process, from what was asked for to the machine's end.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kvm_ioctls::Kvm;
use vmm_sys_util::timerfd::TimerFd;

use super::end::End;
use super::event_loop::{self, Sources, Waiting};
use super::signals::Signals;
use super::wake::{Wake, Waker};
use super::{Machine, MachineError, confinement, gone, reserve, restoring};
use crate::access::Access;
use crate::api;
use crate::cli::{LogFormat, sandbox_words};
use crate::control::Mailbox;
use crate::events::Hub;
use crate::forked::launcher::Launcher;
use crate::host;
use crate::qmp;
use crate::sandbox;
use crate::socket;
use crate::socket_server::{OnDefect, Server};
use crate::spec::{SandboxSpec, Start};

/// What is this process's, whichever machine it runs.
#[derive(Debug)]
pub struct Own {
    /// What it may do on the host.
    pub sandbox: SandboxSpec,
    /// Where QMP is served, if it is.
    pub qmp: Option<PathBuf>,
    /// How long SIGTERM gives the guest to power off.
    pub stop_timeout: Duration,
    /// How its log is written.
    pub log_format: LogFormat,
}

impl Own {
    /// The arguments with which forks are started, so that these are theirs as well; not QMP, whose socket is one machine's.
    pub fn handed_down(&self) -> Vec<OsString> {
        let format = match self.log_format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        let mut words = sandbox_words(&self.sandbox);
        words.extend(["--stop-timeout".into(), self.stop_timeout.as_secs().to_string().into()]);
        words.extend(["--log-format", format].map(OsString::from));
        words
    }
}

/// What a machine has from this process.
pub(super) struct Outsiders {
    pub hub: Arc<Hub>,
    pub waker: Waker,
    pub kvm: Kvm,
    pub launcher: Option<Arc<Launcher>>,
}

/// Runs a machine until it ends; `ready` is called once it is there.
///
/// # Errors
/// [`MachineError`] when it cannot be built; what happens to a running machine is an [`End`].
pub fn run(start: Start, own: &Own, ready: impl FnOnce()) -> Result<End, MachineError> {
    sandbox::limits::apply(&own.sandbox)?;
    reserve::raise_limit();
    let (spec, snapshot) = match start {
        Start::Boot(spec) => (*spec, None),
        Start::Restore(how) => {
            let failed = |error| MachineError::Restore { from: how.source.clone(), error };
            let snapshot = restoring::open(&how.source).map_err(failed)?;
            (restoring::spec(&snapshot, &how).map_err(failed)?, Some((snapshot, how)))
        }
    };
    let source = snapshot.as_ref().map(|(_, how)| &how.source);
    // Before there are threads, descriptors and rules that are not the launcher's.
    let launcher = confinement::launcher(own, source, &spec)?;
    let kvm = host::open_kvm(&own.sandbox.kvm)?;
    host::check_nodes(&spec.numa)?;
    confinement::prepare(own, &spec, source)?;
    gone::watch().map_err(|error| MachineError::EventLoop(format!("SIGBUS: {error}")))?;
    socket::configure(own.sandbox.sockets.clone());
    let hub = Arc::new(Hub::default());
    let signals = Signals::new().map_err(|e| MachineError::EventLoop(e.to_string()))?;
    let starting = signals.while_starting().map_err(|e| MachineError::EventLoop(e.to_string()))?;
    let (mailbox, letters, bell) = Mailbox::new().map_err(|e| MachineError::EventLoop(e.to_string()))?;
    let (waker, wakes, wake_bell) = Waker::new().map_err(|e| MachineError::EventLoop(e.to_string()))?;
    let access = Access { mailbox: Arc::new(mailbox), hub: hub.clone(), spec: Arc::new(spec.clone()) };
    // The sockets first: a path that is in use is found before a guest starts. Requests wait.
    let servers = listen(access, own.qmp.as_deref(), &waker)?;
    let outside = Outsiders { hub, waker, kvm, launcher };
    let mut machine = match &snapshot {
        None => Machine::boot(spec, outside)?,
        Some((snapshot, how)) => Machine::restore(spec, snapshot, how, outside)?,
    };
    let overdue = TimerFd::new().map_err(|e| MachineError::EventLoop(e.to_string()))?;
    let waiting = Waiting::new()?;
    let patience = own.stop_timeout;
    let sources = Sources { letters, bell, wakes, wake_bell, signals, overdue, patience };
    ready();
    drop(starting);
    // From here on nothing is opened any more.
    sandbox::close()?;
    match snapshot {
        None => machine.let_run(),
        Some((_, how)) if !how.paused => machine.resume(),
        Some(_) => {}
    }
    let end = event_loop::run(waiting, machine, sources);
    drop(servers);
    end
}

/// Begins to listen to whoever talks to the machine from outside.
fn listen(access: Access, qmp: Option<&Path>, waker: &Waker) -> Result<Vec<Server>, MachineError> {
    let on_defect = || -> OnDefect {
        let waker = waker.clone();
        Box::new(move |what| waker.wake(Wake::Defect(what)))
    };
    let named = |flag| move |error| MachineError::Socket { flag, error };
    let mut servers = Vec::new();
    if let Some(path) = &access.spec.api_socket {
        servers.push(api::start(path, access.clone(), on_defect()).map_err(named("--api-socket"))?);
    }
    if let Some(path) = qmp {
        servers.push(qmp::start(path, access, on_defect()).map_err(named("--qmp"))?);
    }
    Ok(servers)
}
