//! Starting `dimmer run` with sockets, console and log in a directory of the machine's own.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use super::last_audit::Expected;
use super::process::dimmer;
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
        .arg("--api-socket")
        .arg(&api)
        .arg("--agent-socket")
        .arg(&agent)
        .args(["--serial", &serial])
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(at("share the log file"))?)
        .stderr(log);
    let child = command.spawn().map_err(at("start dimmer"))?;
    let rest = Rest::new(&api).map_err(at("start an event loop"))?;
    let (guest, late, expected) = (None, Cell::new(false), Expected::AllAgrees);
    let mut vm = TestVm { child, dir, rest, agent, guest, late, expected };
    vm.wait_for(&api)?;
    Ok(vm)
}

impl TestVm {
    /// Writes the machine to `directory`.
    ///
    /// # Errors
    /// [`VmError`] when it refuses.
    pub fn snapshot(&self, directory: &Path) -> Result<(), VmError> {
        let body = serde_json::json!({ "destination": directory });
        self.rest.tell(dimmer::ctl::client::Method::PUT, "/vm.snapshot", Some(&body))?;
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
}
