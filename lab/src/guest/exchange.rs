//! One request and its response on the wire (`dimmer_agent::protocol`).

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use dimmer_agent::protocol::{Action, Outcome, Request, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Guest, GuestError};

/// Bytes asked for in one read.
const CHUNK: usize = 256 << 10;

/// The part of a response that says whose it is.
#[derive(Deserialize)]
struct Addressed {
    id: Value,
}

impl Guest {
    /// Sends a request and waits for its response for as long as `patience`.
    pub(super) fn ask_within<T: DeserializeOwned>(
        &mut self,
        action: Action,
        patience: Duration,
    ) -> Result<T, GuestError> {
        self.requests += 1;
        let exchange = Exchange {
            id: Value::from(format!("{}-{}", self.name, self.requests)),
            request: describe(&action),
            patience,
            end: Instant::now() + patience,
        };
        self.send(&exchange, action)?;
        loop {
            let line = self.line(&exchange)?;
            let whose = serde_json::from_slice::<Addressed>(&line);
            if whose.is_ok_and(|response| response.id == exchange.id) {
                return exchange.read(&line);
            }
        }
    }

    /// The line ends what an earlier client, or an earlier request cut short, left unfinished.
    fn send(&mut self, exchange: &Exchange, action: Action) -> Result<(), GuestError> {
        let request = Request { id: exchange.id.clone(), action };
        let mut line = b"\n".to_vec();
        serde_json::to_writer(&mut line, &request).expect("requests have string keys only");
        line.push(b'\n');
        let mut rest = line.as_slice();
        while !rest.is_empty() {
            self.stream.set_write_timeout(Some(exchange.left()?)).map_err(GuestError::Connection)?;
            match self.stream.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) => exchange.look_at(error)?,
            }
        }
        Ok(())
    }

    /// The next line that comes in.
    fn line(&mut self, exchange: &Exchange) -> Result<Vec<u8>, GuestError> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                return Ok(self.buffer.drain(..=searched + end).collect());
            }
            searched = self.buffer.len();
            self.stream.set_read_timeout(Some(exchange.left()?)).map_err(GuestError::Connection)?;
            self.buffer.resize(searched + CHUNK, 0);
            let result = self.stream.read(&mut self.buffer[searched..]);
            self.buffer.truncate(searched + *result.as_ref().unwrap_or(&0));
            match result {
                Ok(0) => return Err(GuestError::Closed(exchange.request.clone())),
                Ok(_) => {}
                Err(error) => exchange.look_at(error)?,
            }
        }
    }
}

/// One request on its way.
struct Exchange {
    id: Value,
    request: String,
    patience: Duration,
    end: Instant,
}

impl Exchange {
    /// The time that is left, never zero, which would mean no limit.
    fn left(&self) -> Result<Duration, GuestError> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(GuestError::Timeout { request: self.request.clone(), waited: self.patience });
        }
        Ok(left)
    }

    /// An error of the stream; one that only says that time passed is none.
    fn look_at(&self, error: io::Error) -> Result<(), GuestError> {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => Ok(()),
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                Err(GuestError::Closed(self.request.clone()))
            }
            _ => Err(GuestError::Connection(error)),
        }
    }

    /// The answer in the response `line`.
    fn read<T: DeserializeOwned>(&self, line: &[u8]) -> Result<T, GuestError> {
        let answer = |cause| GuestError::Answer { request: self.request.clone(), cause };
        match serde_json::from_slice::<Response<T>>(line).map_err(answer)?.outcome {
            Outcome::Ok(value) => Ok(value),
            Outcome::Error(failure) => Err(GuestError::Refused(failure)),
        }
    }
}

/// A request in a few words, for messages.
fn describe(action: &Action) -> String {
    match action {
        Action::Groups => "groups".to_owned(),
        Action::Exec { argv, .. } => format!("exec {}", argv.join(" ")),
        Action::Online { blocks, .. } => format!("online {blocks}"),
        Action::Offline { blocks } => format!("offline {blocks}"),
        Action::Set { value, .. } => format!("set {value}"),
        Action::Eject { slot } => format!("eject {slot}"),
        Action::LoadModule { name } => format!("load_module {name}"),
        Action::UnloadModule { name } => format!("unload_module {name}"),
        Action::Ping => "ping".to_owned(),
        Action::Layout => "layout".to_owned(),
        Action::KernelLog { .. } => "kernel_log".to_owned(),
        Action::Poweroff => "poweroff".to_owned(),
        Action::Reboot => "reboot".to_owned(),
        Action::Peek { address, count } => format!("read {count} bytes at {address:#x}"),
        Action::Poke { address, bytes } => format!("write {} bytes at {address:#x}", bytes.0.len()),
        Action::Pin { blocks } => format!("hold a page of {blocks}"),
        Action::Unpin { address } => format!("let the page at {address:#x} go"),
        Action::KexecLoad(load) => format!("load the kernel {}", load.kernel),
        Action::Kexec => "start the loaded kernel".to_owned(),
        Action::Crash => "crash".to_owned(),
    }
}
