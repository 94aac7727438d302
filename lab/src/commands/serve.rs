//! `dimmer-lab serve`: machines as a page in a browser, live, and the playground.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use crate::map::act::Sockets;
use crate::output::stdout;
use crate::serve::connections::{Limits, listen, serve};
use crate::serve::guard::Guard;
use crate::serve::machine::{Address, Machine};
use crate::serve::playground;
use crate::serve::routes::{Server, router};
use clap::Args;
use rustix::process::{Resource, Rlimit, setrlimit};
use signal_hook::iterator::Signals;

/// Threads for what takes its time.
const THREADS: usize = 24;
/// Seconds of a CPU that an answer of the playground may take.
const SECONDS: u64 = 10;
/// Bytes of memory that it may take.
const BYTES: u64 = 2 << 30;
/// What ends the server.
const SIGNALS: [i32; 2] = [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT];

/// `dimmer-lab serve`
///
/// Prints the page's address, in which the token is that the page's buttons need. Whoever can connect may look. Without a
/// machine there is the playground alone.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen; with the port 0 at any that is free.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7080")]
    listen: SocketAddr,
    /// A machine: what the page calls it, and its two sockets. Can be given several times.
    #[arg(long, value_name = "NAME,api=PATH,agent=PATH")]
    machine: Vec<Address>,
    /// The only machine's agent socket, as given to `dimmer run --agent-socket`.
    #[arg(long, value_name = "PATH", requires = "api_socket", conflicts_with = "machine")]
    agent_socket: Option<PathBuf>,
    /// The only machine's API socket, as given to `dimmer run --api-socket`.
    #[arg(long, value_name = "PATH", requires = "agent_socket", conflicts_with = "machine")]
    api_socket: Option<PathBuf>,
    /// A name besides localhost and its address by which browsers reach the server.
    #[arg(long, value_name = "HOST")]
    name: Vec<String>,
}

/// Answers a question of the playground, from standard input to standard output, within limits of time and memory.
#[derive(Debug, Args)]
pub struct Answer;

impl Serve {
    /// Serves until it is told to end.
    pub fn run(&self) -> super::Result {
        let mut signals = Signals::new(SIGNALS)?;
        let machines = self.machines()?.into_iter().map(Machine::watch).collect::<Result<_, _>>()?;
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().max_blocking_threads(THREADS).build()?;
        let listener = runtime.block_on(listen(self.listen))?;
        let address = listener.local_addr()?;
        let guard = Guard::new(address, self.name.clone())?;
        writeln!(stdout(), "http://{address}/#token={}", guard.token())?;
        let router = router(Server::new(machines, guard, Box::new(|question| ask(&question))));
        let (end, ended) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            signals.forever().next();
            end.send(())
        });
        runtime.block_on(async {
            tokio::select! {
                () = serve(listener, router, Limits::default()) => {}
                _ = ended => {}
            }
        });
        // A change that is under way goes on in the machine, and is waited for no longer.
        runtime.shutdown_background();
        Ok(ExitCode::SUCCESS)
    }

    fn machines(&self) -> Result<Vec<Address>, String> {
        let only = self.api_socket.clone().zip(self.agent_socket.clone());
        if let Some((api, agent)) = only {
            return Ok(vec![Address { name: "machine".to_owned(), sockets: Sockets { api, agent } }]);
        }
        for (number, machine) in self.machine.iter().enumerate() {
            if self.machine[..number].iter().any(|other| other.name == machine.name) {
                return Err(format!("--machine: two are called {:?}", machine.name));
            }
        }
        Ok(self.machine.clone())
    }
}

/// Has a process of its own answer a question, which takes no more than it may.
fn ask(question: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("the host does not answer: {error}");
    let program = std::env::current_exe().map_err(failed)?;
    let mut child = Command::new(program);
    child.arg("answer").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = child.spawn().map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        // One that has ended says so by its status.
        let _ = input.write_all(question.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        return Err(format!(
            "the answer takes more than {SECONDS} seconds or {} GiB of memory; `dimmer-lab predict` has no such limits",
            BYTES >> 30
        ));
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

impl Answer {
    /// Exit status 0 with every answer.
    pub fn run(&self) -> super::Result {
        let limit = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(Resource::Cpu, limit(SECONDS))?;
        setrlimit(Resource::As, limit(BYTES))?;
        setrlimit(Resource::Core, limit(0))?;
        let mut question = String::new();
        std::io::stdin().read_to_string(&mut question)?;
        stdout().write_all(playground::answer(&question).as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}
