//! One client, from the greeting to its end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;

use super::Monitor;
use super::commands::run;
use super::events::Teller;
use super::input::{Came, Input};
use super::message::{QmpError, Request, answer, greeting};
use crate::control::{Command, Reply};
use crate::socket_server::{Stopping, stopped};

/// How long a client may not read what it is sent.
const PATIENCE: Duration = Duration::from_secs(30);
/// The command that ends the negotiation.
const NEGOTIATE: &str = "qmp_capabilities";

/// Serves one client. One that breaks off, or reads nothing, is its own affair.
pub async fn session(mut stream: UnixStream, monitor: Arc<Monitor>, stopping: Stopping) {
    let (reader, writer) = stream.split();
    let mut session = Session { input: Input::new(reader), writer, monitor, teller: None };
    if let Err(error) = session.run(stopping).await {
        tracing::debug!(%error, "A QMP client is gone");
    }
}

struct Session<R, W> {
    input: Input<R>,
    writer: W,
    monitor: Arc<Monitor>,
    /// What becomes of events; nothing before the negotiation has ended.
    teller: Option<Teller>,
}

impl<R: tokio::io::AsyncRead + Unpin, W: AsyncWrite + Unpin> Session<R, W> {
    async fn run(&mut self, stopping: Stopping) -> io::Result<()> {
        self.send(&greeting()).await?;
        let hub = self.monitor.access.hub.clone();
        loop {
            let after = self.teller.as_ref().map_or(u64::MAX, Teller::after);
            tokio::select! {
                biased;
                came = self.input.next() => match came? {
                    Came::Value(value) => {
                        let answer = self.answer(value).await;
                        self.send(&answer).await?;
                    }
                    Came::Nonsense(why) => {
                        let wrong = QmpError::generic(format!("this is not JSON: {why}"));
                        self.send(&answer(None, Err(wrong))).await?;
                    }
                    Came::TooMuch => {
                        let wrong = QmpError::generic("the message is too large: it must be at most 65536 bytes");
                        return self.send(&answer(None, Err(wrong))).await;
                    }
                    Came::End => return Ok(()),
                },
                events = hub.after(after), if self.teller.is_some() => {
                    let Some(teller) = &mut self.teller else { continue };
                    let (messages, over) = teller.tell(&events, &hub);
                    for message in messages {
                        self.send(&message).await?;
                    }
                    if over {
                        return Ok(());
                    }
                }
                () = stopped(stopping.clone()) => return Ok(()),
            }
        }
    }

    /// The answer to what came.
    async fn answer(&mut self, value: Value) -> Value {
        let request = match Request::read(value) {
            Ok(request) => request,
            Err(answer) => return answer,
        };
        let arguments = request.arguments.clone();
        let result = match (request.execute.as_str(), self.teller.is_some()) {
            (NEGOTIATE, false) => self.negotiate(&arguments).await,
            (NEGOTIATE, true) => Err(QmpError::not_found("capabilities were negotiated already")),
            (_, false) => Err(QmpError::not_found(format!("{NEGOTIATE} has to come first"))),
            (name, true) => run(&self.monitor, name, arguments).await,
        };
        request.answer(result)
    }

    /// From here on the client gets events.
    async fn negotiate(&mut self, arguments: &Map<String, Value>) -> Result<Value, QmpError> {
        let nothing = |wanted: &Value| wanted.as_array().is_some_and(Vec::is_empty);
        if arguments.iter().any(|(name, wanted)| name != "enable" || !nothing(wanted)) {
            return Err(QmpError::generic("there are no capabilities to enable"));
        }
        let after = self.monitor.access.hub.last();
        let Reply::Devices(devices) = self.monitor.access.call(Command::Devices).await? else {
            return Err(QmpError::unexpected());
        };
        self.teller = Some(Teller::new(after, &devices));
        Ok(json!({}))
    }

    async fn send(&mut self, message: &Value) -> io::Result<()> {
        let text = format!("{message}\r\n");
        let write = async {
            self.writer.write_all(text.as_bytes()).await?;
            self.writer.flush().await
        };
        tokio::time::timeout(PATIENCE, write).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}
