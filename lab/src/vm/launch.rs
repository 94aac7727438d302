//! Starting `dimmer run` with sockets, console and log in a directory of the machine's own.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use dimmer::control::Forked;
use dimmer::ctl::client::Method;
use dimmer::spec::RestoredMemory;

use super::last_audit::Expected;
use super::process::{Process, dimmer};
use super::{TestVm, VmError, at};
use crate::rest::Rest;

/// A directory for a machine.
pub(super) fn directory() -> Result<tempfile::TempDir, VmError> {
    tempfile::Builder::new().prefix("dimmer-vm-").tempdir().map_err(at("make a directory"))
}

/// Starts a machine in `dir` and waits for its API; the serial console is connected to `serial`, or a file.
pub(super) fn launch(
    dir: tempfile::TempDir,
    arguments: Vec<OsString>,
    serial: Option<&str>,
) -> Result<TestVm, VmError> {
    let path = |name: &str| dir.path().join(name);
    let (api, agent) = (path("api"), path("agent"));
    let log = File::create(path("log")).map_err(at("create a log file"))?;
    let serial = serial.map_or_else(|| format!("file={}", path("console").display()), str::to_owned);
    let mut command = dimmer();
    command
        .arg("run")
        .args(arguments)
        // Snapshots of tests, and their machines' children, are in directories of their own there.
        .arg("--allow-path")
        .arg(std::env::temp_dir())
        .arg("--api-socket")
        .arg(&api)
        .arg("--agent-socket")
        .arg(&agent)
        .args(["--serial", &serial])
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(at("share the log file"))?)
        .stderr(log);
    let process = Process::Started(command.spawn().map_err(at("start dimmer"))?);
    let log = path("log");
    let mut vm = machine(process, dir, log)?;
    vm.wait_for(&api)?;
    Ok(vm)
}

/// A machine whose sockets are in `dir`.
fn machine(process: Process, dir: tempfile::TempDir, log: PathBuf) -> Result<TestVm, VmError> {
    let (api, agent) = (dir.path().join("api"), dir.path().join("agent"));
    let rest = Rest::new(&api).map_err(at("start an event loop"))?;
    let (guest, late, expected) = (None, Cell::new(false), Expected::AllAgrees);
    Ok(TestVm { process, dir, log, rest, agent, guest, late, expected })
}

impl TestVm {
    /// Writes the machine to `directory`.
    ///
    /// # Errors
    /// [`VmError`] when it refuses.
    pub fn snapshot(&self, directory: &Path) -> Result<(), VmError> {
        let body = serde_json::json!({ "destination": directory });
        self.rest.tell(Method::PUT, "/vm.snapshot", Some(&body))?;
        Ok(())
    }

    /// Writes to `directory` what differs from the snapshot in `base`, which is the last one that it has written, or that it goes
    /// on from with `--track`.
    ///
    /// # Errors
    /// [`VmError`] when it refuses.
    pub fn difference(&self, directory: &Path, base: &Path) -> Result<(), VmError> {
        let body = serde_json::json!({ "destination": directory, "base": base });
        self.rest.tell(Method::PUT, "/vm.snapshot", Some(&body))?;
        Ok(())
    }

    /// Starts a machine that goes on from the snapshot in `directory`, with more arguments of `dimmer run`, split at blanks,
    /// and waits for its API.
    ///
    /// # Errors
    /// [`VmError`] with what it said.
    pub fn restore(directory: &Path, more: &str) -> Result<Self, VmError> {
        let mut arguments = vec![OsString::from("--restore"), directory.into()];
        arguments.extend(more.split_whitespace().map(OsString::from));
        launch(self::directory()?, arguments, None)
    }

    /// Starts a child of the machine, which begins as a copy of it, and waits until its agent answers. It goes with whoever
    /// has it, and not with this machine.
    ///
    /// # Errors
    /// [`VmError`] when the machine refuses.
    pub fn fork(&self) -> Result<Self, VmError> {
        self.child(None)
    }

    /// As [`fork`](Self::fork), with memory that is the child's own from the start: it begins later, in an emulated host half a second,
    /// and has no faults for each page of 4 KiB that it touches in an image, or writes.
    ///
    /// # Errors
    /// [`VmError`] when the machine refuses.
    pub fn copy(&self) -> Result<Self, VmError> {
        self.child(Some(RestoredMemory::Copy))
    }

    fn child(&self, memory: Option<RestoredMemory>) -> Result<Self, VmError> {
        let dir = self::directory()?;
        let path = |name: &str| dir.path().join(name);
        let body = serde_json::json!({
            "id": "child",
            "api_socket": path("api"),
            "agent_socket": path("agent"),
            "serial": format!("file={}", path("console").display()),
            "restore_memory": memory,
            "attached": true,
        });
        let forked = self.rest.tell(Method::POST, "/vm.fork", Some(&body))?;
        let forked: Forked = serde_json::from_value(forked)
            .map_err(|error| VmError::Host { step: "understand a fork", cause: error.into() })?;
        let process = Process::forked(forked.pid).map_err(at("find a fork"))?;
        let mut vm = machine(process, dir, self.log.clone())?;
        vm.connect()?;
        Ok(vm)
    }
}
