//! `dimmer ctl`: a client of the API for people and scripts.
//!
//! | exit status | means |
//! |---|---|
//! | 0 | done, or without `--wait`: accepted |
//! | 1 | refused, done in part, or still in progress at the end of `--wait`; the message says which. Of `audit`: the books do not agree |
//! | 2 | bad usage (also an unknown id or an impossible value), no machine at the socket, a failing host, or a request that met a defect of Dimmer |

pub mod client;
mod log;
mod new_device;
mod paths;
mod progress;
mod render;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::Problem;
use crate::api::types::{Faults, Fork, InjectMce, NewDevice, NewFaults, Resize, ResizeDevice, TakeSnapshot};
use crate::audit::Audit;
use crate::cli::{Action, CtlArgs, DimmAction, FaultArg, FaultsAction, ForkArgs, ResizeArgs, VmemAction};
use crate::control::Forked;
use client::{Answer, Client, ClientError, Method, segment};
use paths::{from_the_root, text};

pub use render::what;

/// Exit status: done or accepted.
const DONE: u8 = 0;
/// Exit status: refused, done in part, or still in progress.
const REFUSED: u8 = 1;
/// Exit status: bad usage or a bad host.
const BAD: u8 = 2;

/// Does what `arguments` say; answers go to `out`, complaints to `complaints`. Returns the exit status.
pub fn run(arguments: &CtlArgs, out: &mut dyn Write, complaints: &mut dyn Write) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(act(arguments, out)),
        Err(error) => Err(Failure::Client(ClientError::Runtime(error))),
    };
    let (status, message) = match result {
        Ok(()) => return DONE,
        // Whoever read the output has seen enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => return DONE,
        Err(Failure::Problem(problem)) if arguments.json => {
            let body = serde_json::to_string(&problem).expect("a problem can be written as JSON");
            let _ = writeln!(out, "{body}");
            return status(&problem);
        }
        Err(Failure::Problem(problem)) => (status(&problem), render::problem(&problem)),
        // The answer has said it.
        Err(Failure::Disagreement) => return REFUSED,
        Err(failure) => (BAD, failure.to_string()),
    };
    // Without a place for complaints the exit status has to do.
    let _ = writeln!(complaints, "dimmer ctl: {message}");
    status
}

fn status(problem: &Problem) -> u8 {
    if matches!(problem.status, 409 | 504) { REFUSED } else { BAD }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
    #[error("the machine sent what this version does not understand: {0}")]
    Answer(#[from] serde_json::Error),
    #[error("{}", .0.detail)]
    Problem(Problem),
    #[error("the machine's books do not agree")]
    Disagreement,
    #[error("cannot tell this process's directory: {0}")]
    Here(#[source] io::Error),
    #[error("{}: a path must be text (UTF-8)", .0.display())]
    NoText(OsString),
}

async fn act(arguments: &CtlArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let client = Client::connect(&arguments.api_socket).await?;
    let mut talk = Talk { client, json: arguments.json, out };
    match &arguments.action {
        Action::Ping => talk.show("/vmm.ping", render::ping).await,
        Action::Info => talk.show("/vm.info", |info| render::info(&info)).await,
        Action::Devices => talk.show("/memory-devices", |devices: Vec<_>| render::devices(&devices)).await,
        Action::Events { since } => talk.events(*since).await,
        Action::Pause => talk.tell("/vm.pause").await,
        Action::Resume => talk.tell("/vm.resume").await,
        Action::Snapshot { directory, base, track } => {
            talk.snapshot(directory, base.as_deref(), *track).await
        }
        Action::Fork(fork) => talk.fork(fork).await,
        Action::Reboot => talk.tell("/vm.reboot").await,
        Action::PowerButton => talk.tell("/vm.power-button").await,
        Action::Nmi => talk.tell("/vm.nmi").await,
        Action::Vcpus => talk.show("/vcpus", |vcpus: Vec<_>| render::vcpus(&vcpus)).await,
        Action::Cpus { count: None, .. } => talk.show("/cpus", |cpus| render::cpus(&cpus)).await,
        Action::Cpus { count: Some(count), wait } => talk.resize_cpus(*count, *wait).await,
        Action::Log { level } => talk.log(level.as_deref()).await,
        Action::Shutdown => talk.tell("/vm.shutdown").await,
        Action::Resize(resize) => talk.resize(resize).await,
        Action::Balloon { size: None } => talk.show("/vm.info", |info| render::balloon(&info)).await,
        Action::Balloon { size: Some(size) } => {
            let body = Resize { desired_balloon: Some(*size), ..Resize::default() };
            talk.change(Method::PUT, "/vm.resize", None, Some(&body)).await
        }
        Action::Dimm(DimmAction::Add(dimm)) => talk.add(&dimm.into(), dimm.wait).await,
        Action::Vmem(VmemAction::Add(device)) => talk.add(&device.into(), device.wait).await,
        Action::Dimm(DimmAction::Remove { id, wait }) | Action::Vmem(VmemAction::Remove { id, wait }) => {
            talk.change(Method::DELETE, &format!("/memory-devices/{}", segment(id)), *wait, None::<&()>).await
        }
        Action::Ost { id } => {
            let path = format!("/memory-devices/{}/ost", segment(id));
            talk.show(&path, |reports: Vec<_>| render::ost(&reports)).await
        }
        Action::Requests { id } => {
            let path = format!("/memory-devices/{}/requests", segment(id));
            talk.show(&path, |requests: Vec<_>| render::requests(&requests)).await
        }
        Action::Audit => talk.audit().await,
        Action::Faults { action: None | Some(FaultsAction::List) } => {
            talk.show("/faults", |answer: Faults| render::faults(&answer.faults)).await
        }
        Action::Faults { action: Some(FaultsAction::Set { faults }) } => talk.set_faults(faults).await,
        Action::Faults { action: Some(FaultsAction::Clear) } => talk.set_faults(&[]).await,
        Action::InjectMce { address, severity } => {
            let body = InjectMce { address: *address, severity: *severity };
            checked(talk.client.ask(Method::POST, "/vm.inject-mce", Some(&body)).await?).map(drop)
        }
    }
}

/// One conversation with a machine.
struct Talk<'a> {
    client: Client,
    json: bool,
    out: &'a mut dyn Write,
}

impl Talk<'_> {
    /// Asks for something and shows it.
    async fn show<T: DeserializeOwned>(&mut self, path: &str, text: fn(T) -> String) -> Result<(), Failure> {
        let answer = self.client.ask(Method::GET, path, None::<&()>).await?;
        self.print(answer, text)
    }

    /// Has something done that has no answer.
    async fn tell(&mut self, path: &str) -> Result<(), Failure> {
        let answer = self.client.ask(Method::PUT, path, None::<&()>).await?;
        checked(answer).map(|_| ())
    }

    /// Relative to this process's directory, not to the machine's.
    async fn snapshot(
        &mut self,
        directory: &Path,
        base: Option<&Path>,
        track: Option<bool>,
    ) -> Result<(), Failure> {
        let destination = Some(from_the_root(directory)?);
        let base = base.map(from_the_root).transpose()?;
        let body = TakeSnapshot { destination, destination_url: None, base, track };
        checked(self.client.ask(Method::PUT, "/vm.snapshot", Some(&body)).await?).map(drop)
    }

    /// As [`snapshot`](Self::snapshot), with paths of this process.
    async fn fork(&mut self, fork: &ForkArgs) -> Result<(), Failure> {
        let serial =
            fork.serial.as_ref().map(|serial| text(serial.absolute().map_err(Failure::Here)?.words()));
        let body = Fork {
            id: fork.id.clone(),
            api_socket: from_the_root(&fork.api)?,
            agent_socket: fork.agent.as_deref().map(from_the_root).transpose()?,
            serial: serial.transpose()?,
            restore_memory: fork.restore_memory,
            paused: fork.paused,
            attached: false,
        };
        let answer = self.client.ask(Method::POST, "/vm.fork", Some(&body)).await?;
        self.print(answer, |child: Forked| render::forked(&child))
    }

    async fn resize(&mut self, resize: &ResizeArgs) -> Result<(), Failure> {
        let size = resize.size;
        match &resize.id {
            Some(id) => {
                let path = format!("/memory-devices/{}", segment(id));
                self.change(Method::PATCH, &path, resize.wait, Some(&ResizeDevice { requested_size: size }))
                    .await
            }
            None => {
                self.change(
                    Method::PUT,
                    "/vm.resize",
                    resize.wait,
                    Some(&Resize { desired_ram: Some(size), ..Resize::default() }),
                )
                .await
            }
        }
    }

    async fn resize_cpus(&mut self, count: u32, wait: Option<Duration>) -> Result<(), Failure> {
        let body = Resize { desired_vcpus: Some(count), ..Resize::default() };
        let answer = self.client.ask(Method::PUT, &waiting("/vm.resize", wait), Some(&body)).await?;
        if answer.status == 204 && !self.json {
            return Ok(writeln!(self.out, "Accepted.")?);
        }
        self.print(answer, |cpus| format!("Done: {}", render::cpus(&cpus)))
    }

    async fn add(&mut self, device: &NewDevice, wait: Option<Duration>) -> Result<(), Failure> {
        self.change(Method::POST, "/memory-devices", wait, Some(device)).await
    }

    async fn audit(&mut self) -> Result<(), Failure> {
        let answer = self.client.ask(Method::GET, "/vm.audit", None::<&()>).await?;
        let ok = answer.status >= 400 || serde_json::from_slice::<Audit>(&answer.body)?.ok;
        let printed = self.print(answer, |audit: Audit| render::audit(&audit));
        // Whether or not anybody reads it.
        if ok { printed } else { Err(Failure::Disagreement) }
    }

    async fn set_faults(&mut self, faults: &[FaultArg]) -> Result<(), Failure> {
        let body = NewFaults { faults: faults.iter().map(|fault| fault.0.clone()).collect() };
        let answer = self.client.ask(Method::PUT, "/faults", Some(&body)).await?;
        self.print(answer, |answer: Faults| render::faults(&answer.faults))
    }

    /// Changes a memory device and shows what became of that.
    async fn change(
        &mut self,
        method: Method,
        path: &str,
        wait: Option<Duration>,
        body: Option<&impl Serialize>,
    ) -> Result<(), Failure> {
        let (socket, path) = (self.client.path().to_owned(), waiting(path, wait));
        let asked = self.client.ask(method, &path, body);
        let answer = if wait.is_some() { progress::shown(&socket, asked).await? } else { asked.await? };
        match answer.status {
            200 => self.print(answer, render::done),
            204 if !self.json => Ok(writeln!(self.out, "Accepted.")?),
            _ => self.print(answer, render::accepted),
        }
    }

    /// Shows the body of a good answer, if it has one.
    fn print<T: DeserializeOwned>(&mut self, answer: Answer, text: fn(T) -> String) -> Result<(), Failure> {
        let body = checked(answer)?;
        if body.is_empty() {
            return Ok(());
        }
        if self.json {
            self.out.write_all(&body)?;
            return Ok(writeln!(self.out)?);
        }
        Ok(writeln!(self.out, "{}", text(serde_json::from_slice(&body)?))?)
    }

    async fn events(&mut self, since: Option<u64>) -> Result<(), Failure> {
        let query = since.map(|since| format!("?since={since}")).unwrap_or_default();
        let mut lines = match self.client.follow(&format!("/events{query}")).await? {
            Ok(lines) => lines,
            Err(answer) => return checked(answer).map(|_| ()),
        };
        while let Some(line) = lines.next().await? {
            if self.json {
                self.out.write_all(&line)?;
                writeln!(self.out)?;
            } else {
                writeln!(self.out, "{}", render::event(&serde_json::from_slice(&line)?))?;
            }
            self.out.flush()?;
        }
        Ok(())
    }
}

/// The path of a request whose end is waited for.
fn waiting(path: &str, wait: Option<Duration>) -> String {
    let query = wait.map(|wait| format!("?wait={}", wait.as_secs_f64())).unwrap_or_default();
    format!("{path}{query}")
}

/// The body, if the answer is a good one.
fn checked(answer: Answer) -> Result<Vec<u8>, Failure> {
    if answer.status < 400 {
        return Ok(answer.body);
    }
    Err(Failure::Problem(serde_json::from_slice(&answer.body)?))
}
