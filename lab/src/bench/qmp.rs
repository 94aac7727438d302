//! QEMU's monitor protocol: a JSON object a line; answers come in order, and events between them.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Error;

/// How long an event may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// A monitor that takes commands.
#[derive(Debug)]
pub struct Qmp {
    stream: BufReader<UnixStream>,
    /// What was heard while an answer was waited for.
    events: VecDeque<Value>,
}

impl Qmp {
    /// Connects and leaves the negotiation behind.
    ///
    /// # Errors
    /// When nobody listens, or it is no monitor.
    pub fn connect(path: &Path) -> Result<Self, Error> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut qmp = Self { stream: BufReader::new(stream), events: VecDeque::new() };
        qmp.line()?;
        qmp.tell("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Sends a command that is to succeed; returns what it returns.
    ///
    /// # Errors
    /// What the monitor says.
    pub fn tell(&mut self, command: &str, arguments: &Value) -> Result<Value, Error> {
        let line = json!({"execute": command, "arguments": arguments});
        self.stream.get_mut().write_all(format!("{line}\n").as_bytes())?;
        loop {
            let mut line = self.line()?;
            if let Some(value) = line.get_mut("return") {
                return Ok(value.take());
            }
            match line["error"]["desc"].as_str() {
                Some(error) => return Err(format!("{command}: {error}").into()),
                None => self.events.push_back(line),
            }
        }
    }

    /// Waits for an event of this name whose data `fits`; those before it are forgotten.
    ///
    /// # Errors
    /// When none comes, or one whose name says that the guest failed.
    pub fn event(&mut self, name: &str, fits: impl Fn(&Value) -> bool) -> Result<(), Error> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let event = match self.events.pop_front() {
                Some(event) => event,
                None => self.line()?,
            };
            if event["event"].as_str().is_some_and(|name| name.contains("ERROR")) {
                return Err(event.to_string().into());
            }
            if event["event"] == name && fits(&event["data"]) {
                return Ok(());
            }
        }
        Err(format!("no event {name} came").into())
    }

    fn line(&mut self) -> Result<Value, Error> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err("the monitor has ended".into()),
            _ => Ok(serde_json::from_str(&line)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    #[test]
    fn events_between_answers_are_kept_and_errors_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("qmp");
        let listener = UnixListener::bind(&path).unwrap();
        thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            stream.write_all(b"{\"QMP\": {}}\n").unwrap();
            let answers = [
                "{\"return\": {}}\n",
                "{\"event\": \"OTHER\"}\n{\"event\": \"DONE\", \"data\": {\"id\": \"a\"}}\n{\"return\": 7}\n",
                "{\"error\": {\"desc\": \"no such device\"}}\n{\"event\": \"DONE\", \"data\": {\"id\": \"b\"}}\n",
            ];
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            for (answer, _) in answers.into_iter().zip(lines) {
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let mut qmp = Qmp::connect(&path).unwrap();
        assert_eq!(qmp.tell("x", &json!({})).unwrap(), 7);
        qmp.event("DONE", |data| data["id"] == "a").unwrap();
        assert_eq!(qmp.tell("y", &json!({})).unwrap_err().to_string(), "y: no such device");
        qmp.event("DONE", |data| data["id"] == "b").unwrap();
        assert!(qmp.event("DONE", |_| true).unwrap_err().to_string().contains("ended"));
    }
}
