//! One command from start to end: prepare the machine, say `Ready`, run what `Start` brings, say how it ended.

use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dimmer_agent::frames::{self, Invocation, Kind};
use dimmer_agent::pid1;

use crate::streams::{Stop, pump_input, pump_output};
use crate::{loopback, root};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How long a port may take to appear; the ports are probed before PID 1 starts or soon after.
const PORT_DEADLINE: Duration = Duration::from_secs(60);

/// Serves one command, then stays until the other side ends the machine.
pub fn serve() -> ExitCode {
    match prepare().and_then(|ports| ports.serve()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("host-init: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Ports {
    control: File,
    stdin: File,
    stdout: File,
    stderr: File,
}

/// Everything up to the ports. An error of these steps can only go to the console.
fn prepare() -> Result<Ports> {
    pid1::mount_api_filesystems()?;
    pid1::load_modules(Path::new(pid1::MODULES))?;
    let open = |name| pid1::find_port(name, PORT_DEADLINE);
    Ok(Ports {
        control: open(frames::CONTROL)?,
        stdin: open(frames::STDIN)?,
        stdout: open(frames::STDOUT)?,
        stderr: open(frames::STDERR)?,
    })
}

impl Ports {
    /// Runs the command and tells the other side how it ended, or why it could not.
    fn serve(mut self) -> Result<()> {
        let mut control = self.control.try_clone()?;
        match self.run() {
            Ok(End::Exited(status)) => frames::write(&mut control, Kind::Exit, &[status])?,
            Ok(End::NotStarted(errno)) => {
                frames::write(&mut control, Kind::NotStarted, &errno.to_le_bytes())?
            }
            Err(error) => frames::write(&mut control, Kind::Failed, chain(error.as_ref()).as_bytes())?,
        }
        // The frames may still be on their way out: only the other side knows when it has them all.
        loop {
            thread::park();
        }
    }

    fn run(&mut self) -> Result<End> {
        root::enter()?;
        loopback::up()?;
        frames::write(&mut self.control, Kind::Ready, &[])?;
        let mut payload = Vec::new();
        match frames::read(&mut self.control, &mut payload)? {
            Some(Kind::Start) => self.execute(Invocation::decode(&payload)?),
            other => Err(format!("Expected a Start frame, got {other:?}").into()),
        }
    }

    fn execute(&self, invocation: Invocation) -> Result<End> {
        let directory = PathBuf::from(OsString::from_vec(invocation.directory));
        std::env::set_current_dir(&directory).map_err(|error| {
            format!("Cannot enter the working directory {}: {error}", directory.display())
        })?;
        let mut arguments = invocation.arguments.into_iter().map(OsString::from_vec);
        let program = arguments.next().ok_or("The command is empty")?;
        let strings = |(name, value)| (OsString::from_vec(name), OsString::from_vec(value));
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(invocation.environment.into_iter().map(strings));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        match command.spawn() {
            Ok(child) => self.attend(child),
            Err(error) => Ok(End::NotStarted(error.raw_os_error().unwrap_or(0))),
        }
    }

    /// Pumps the streams until the command has ended and all it wrote is sent.
    fn attend(&self, mut child: Child) -> Result<End> {
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let stdin_port = self.stdin.try_clone()?;
        // Never joined: it may wait for input that no longer matters.
        thread::spawn(move || stdin.map(|pipe| pump_input(stdin_port, pipe)));
        let (stop_stdout, stdout) = start_pump(stdout.expect("is piped"), &self.stdout)?;
        let (stop_stderr, stderr) = start_pump(stderr.expect("is piped"), &self.stderr)?;
        let stops = [stop_stdout, stop_stderr];
        let (control, watched) = (self.control.try_clone()?, stops.clone());
        thread::spawn(move || watch_control(control, &watched));
        let status = child.wait()?;
        stops.iter().for_each(|stop| stop.finish());
        for pump in [stdout, stderr] {
            pump.join().expect("a pump does not panic")?;
        }
        Ok(End::Exited(status_byte(status)))
    }
}

enum End {
    Exited(u8),
    NotStarted(i32),
}

type Pump = JoinHandle<io::Result<()>>;

fn start_pump(
    pipe: impl io::Read + std::os::fd::AsFd + Send + 'static,
    port: &File,
) -> io::Result<(Arc<Stop>, Pump)> {
    let (stop, woken) = Stop::new()?;
    let stop = Arc::new(stop);
    let (mut port, seen) = (port.try_clone()?, stop.clone());
    let pump = thread::spawn(move || pump_output(pipe, &mut port, &seen, &woken));
    Ok((stop, pump))
}

/// Closes the streams that the other side says nobody reads. `stops` are those of standard output and error.
fn watch_control(mut control: File, stops: &[Arc<Stop>; 2]) -> io::Result<()> {
    let mut payload = Vec::new();
    while let Some(kind) = frames::read(&mut control, &mut payload)? {
        match (kind, payload.as_slice()) {
            (Kind::Close, [1]) => stops[0].close(),
            (Kind::Close, [2]) => stops[1].close(),
            _ => eprintln!("host-init: ignored an unexpected {kind:?} frame"),
        }
    }
    Ok(())
}

/// The status as a shell gives it: the exit status, or 128 plus the number of the signal.
fn status_byte(status: ExitStatus) -> u8 {
    let signal = status.signal().map(|signal| 128 + signal);
    let value = status.code().or(signal).expect("a process that ended has a status or a signal");
    u8::try_from(value).expect("statuses and signals with 128 fit a byte")
}

/// The error and its causes, joined by `: `.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
