//! The serial console: the 16550 on one side; the terminal, a file, a UNIX socket or nothing on the
//! other.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use dimmer_devices::bus::{Bus, Overlap, lock};
use dimmer_devices::serial::{self, Serial};
use dimmer_devices::state::StateError;
use event_manager::{EventOps, EventSet, Events, MutEventSubscriber};
use vmm_sys_util::eventfd::EventFd;

use super::board::Pin;
use super::console_output::{self, ConsoleWriter};
use super::event_loop::{drain, forget, watch};
use super::last_words::LastWords;
use super::panic_watch::PanicWatch;
use super::parts::Parts;
use super::shared_socket::{Merge, SharedSocket};
use super::terminal::Terminal;
use super::wake::{Wake, Waker};
use crate::layout;
use crate::snapshot::state::SerialLineState;
use crate::spec::SerialSpec;

/// Input that waits for the guest; more is not read from its source.
const MOST_INPUT: usize = 4096;

/// The console's other side could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SerialConsoleError {
    /// The host said no.
    #[error("--serial {what}: {error}")]
    Host {
        /// The flag's value.
        what: String,
        /// What the host said.
        #[source]
        error: io::Error,
    },
    /// Two devices at one place.
    #[error(transparent)]
    Overlap(#[from] Overlap),
}

/// Where input comes from.
#[derive(Debug)]
enum Input {
    Nothing,
    Terminal(Terminal),
    Socket(Arc<SharedSocket>),
}

/// See the module.
#[derive(Debug)]
pub struct SerialConsole {
    port: Arc<Mutex<Serial>>,
    /// Rings when the guest has read while input was waiting.
    room: Arc<EventFd>,
    input: Input,
    words: LastWords,
    /// Writes out what is left when this is dropped.
    _writer: Option<ConsoleWriter>,
    waiting: VecDeque<u8>,
    held: bool,
    waker: Waker,
}

impl SerialConsole {
    /// Connects the console as the specification says and puts it on the bus.
    ///
    /// # Errors
    /// [`SerialConsoleError`] names the flag and its value.
    pub fn new(parts: &Parts<'_>, ports: &mut Bus) -> Result<Self, SerialConsoleError> {
        let (input, output, writer) = connect(&parts.spec.serial)?;
        let output = match parts.spec.watch_console {
            true => Box::new(PanicWatch::new(output, parts.panic.clone(), parts.waker.clone())),
            false => output,
        };
        let words = LastWords::default();
        let output = Box::new(words.of(output));
        let room = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC);
        let room =
            Arc::new(room.map_err(|error| SerialConsoleError::Host { what: "eventfd".into(), error })?);
        let mut port = Serial::new(Pin::new(parts.board, layout::SERIAL_GSI), output);
        let bell = room.clone();
        port.set_wake(Box::new(move || ring(&bell)));
        let port = Arc::new(Mutex::new(port));
        ports.insert("serial", layout::SERIAL_PORT.into(), serial::SIZE, port.clone())?;
        let waker = parts.waker.clone();
        Ok(Self { port, room, input, words, _writer: writer, waiting: VecDeque::new(), held: false, waker })
    }

    /// System reset.
    pub fn reset(&mut self) {
        lock(&self.port).reset();
    }

    /// What the guest said last.
    pub fn last_words(&self) -> Vec<String> {
        self.words.lines()
    }

    /// Its state.
    pub fn state(&self) -> SerialLineState {
        SerialLineState { port: lock(&self.port).state(), input: self.waiting.iter().copied().collect() }
    }

    /// Goes on from `state`.
    ///
    /// # Errors
    /// [`StateError`] when no console can be in that state; nothing has changed then.
    pub fn restore(&mut self, state: &SerialLineState) -> Result<(), StateError> {
        if state.input.len() > MOST_INPUT {
            return Err(StateError(format!("serial console: more than {MOST_INPUT} bytes of input wait")));
        }
        lock(&self.port).restore(&state.port)?;
        self.waiting = state.input.iter().copied().collect();
        self.hold(false);
        Ok(())
    }

    /// While held, the guest gets no input.
    pub fn hold(&mut self, held: bool) {
        self.held = held;
        if !held {
            ring(&self.room);
        }
    }

    /// Gives the guest as much of the waiting input as it takes.
    fn feed(&mut self) {
        if self.held {
            return;
        }
        let mut port = lock(&self.port);
        loop {
            let taken = port.receive(self.waiting.make_contiguous());
            self.waiting.drain(..taken);
            if taken == 0 || self.waiting.is_empty() {
                break;
            }
        }
    }

    fn read_terminal(&mut self, ops: &mut EventOps) {
        let Input::Terminal(terminal) = &mut self.input else { return };
        let typed = terminal.read();
        let room = MOST_INPUT.saturating_sub(self.waiting.len());
        self.waiting.extend(typed.bytes.iter().take(room));
        if typed.quit {
            self.waker.wake(Wake::Quit);
        }
        if typed.end {
            forget(ops, terminal.descriptor());
            self.input = Input::Nothing;
        }
    }

    fn serve_socket(&mut self, ops: &mut EventOps) {
        let Input::Socket(socket) = &self.input else { return };
        for fresh in socket.accept() {
            watch(ops, &fresh, CLIENT, EventSet::IN | EventSet::OUT | EventSet::EDGE_TRIGGERED);
        }
        let waiting = &mut self.waiting;
        let gone = socket.pump(|bytes| {
            let taken = bytes.len().min(MOST_INPUT.saturating_sub(waiting.len()));
            waiting.extend(&bytes[..taken]);
            taken
        });
        for stream in gone {
            forget(ops, std::os::fd::AsRawFd::as_raw_fd(&stream));
        }
    }
}

const ROOM: u32 = 0;
const TERMINAL: u32 = 1;
const LISTENER: u32 = 2;
const CLIENT: u32 = 3;

impl MutEventSubscriber for SerialConsole {
    fn init(&mut self, ops: &mut EventOps) {
        watch(ops, &*self.room, ROOM, EventSet::IN);
        match &mut self.input {
            Input::Nothing => {}
            Input::Socket(socket) => watch(ops, &socket.listener(), LISTENER, EventSet::IN),
            Input::Terminal(terminal) => {
                if let Err(error) = terminal.take_over() {
                    tracing::warn!("--serial stdio: the terminal stays as it is: {error}");
                }
                let event = Events::with_data_raw(terminal.descriptor(), TERMINAL, EventSet::IN);
                if ops.add(event).is_err() {
                    // A regular file or /dev/null cannot be waited for, and nobody types there.
                    self.input = Input::Nothing;
                }
            }
        }
    }

    fn process(&mut self, events: Events, ops: &mut EventOps) {
        match events.data() {
            ROOM => drain(&self.room),
            TERMINAL => self.read_terminal(ops),
            _ => {}
        }
        self.serve_socket(ops);
        self.feed();
    }
}

/// Makes the event loop come to the console.
fn ring(bell: &EventFd) {
    if let Err(error) = bell.write(1) {
        tracing::warn!("serial console: {error}");
    }
}

type Connection = (Input, Box<dyn Write + Send>, Option<ConsoleWriter>);

/// The console's other side: where input comes from, and an output that never blocks.
fn connect(spec: &SerialSpec) -> Result<Connection, SerialConsoleError> {
    let (what, path) = match spec {
        SerialSpec::Null => return Ok((Input::Nothing, Box::new(io::sink()), None)),
        SerialSpec::Stdio => ("stdio", None),
        SerialSpec::File(path) => ("file", Some(path)),
        SerialSpec::Socket(path) => ("socket", Some(path)),
    };
    let connected = match spec {
        SerialSpec::Socket(path) => SharedSocket::bind(path, Merge::Bytes).map(|socket| {
            let output: Box<dyn Write + Send> = Box::new(ToClients(socket.clone()));
            (Input::Socket(socket), output, None)
        }),
        SerialSpec::File(path) => create(path).and_then(|file| spooled(Input::Nothing, Box::new(file))),
        _ => spooled(Input::Terminal(Terminal::new()), Box::new(io::stdout())),
    };
    connected.map_err(|error| {
        let what = path.map_or_else(|| what.to_owned(), |path| format!("{what}={}", path.display()));
        SerialConsoleError::Host { what, error }
    })
}

fn spooled(input: Input, output: Box<dyn Write + Send>) -> io::Result<Connection> {
    let (output, writer) = console_output::start(output)?;
    Ok((input, Box::new(output), Some(writer)))
}

/// Makes the file, or empties it; a new one is this user's alone, as what a guest says is nobody else's business.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Writes to every client of a socket.
#[derive(Debug)]
struct ToClients(Arc<SharedSocket>);

impl Write for ToClients {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_new_file_is_this_users_alone_and_an_old_one_is_emptied() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console");
        create(&path).unwrap().write_all(b"before").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        create(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }
}
