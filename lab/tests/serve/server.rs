//! `dimmer-lab serve` as a process, and what is asked of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The running server.
pub struct Server {
    child: Child,
    /// Address and port.
    pub host: String,
    /// What changes need.
    pub token: String,
}

impl Server {
    /// Serves these machines.
    pub fn start(machines: &[String]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dimmer-lab"));
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        for machine in machines {
            command.arg("--machine").arg(machine);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (host, token) = line.trim().strip_prefix("http://").unwrap().split_once("/#token=").unwrap();
        Self { child, host: host.to_owned(), token: token.to_owned() }
    }

    /// What `GET path` is answered.
    pub fn get(&self, path: &str) -> Answer {
        ask(&self.host, "GET", path, &[("Host", &self.host)], "")
    }

    /// What a page of the server's own would be answered to `POST path`.
    pub fn post(&self, path: &str, body: &str) -> Answer {
        let (origin, token) = (format!("http://{}", self.host), format!("Bearer {}", self.token));
        let headers = [
            ("Host", self.host.as_str()),
            ("Origin", &origin),
            ("Content-Type", "application/json"),
            ("Authorization", &token),
        ];
        ask(&self.host, "POST", path, &headers, body)
    }

    /// Follows a machine.
    pub fn follow(&self, machine: &str) -> News {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET /machines/{machine}/stream HTTP/1.1\r\nHost: {}\r\n\r\n", self.host).unwrap();
        News(BufReader::new(stream))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is gone, or will be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// The lines of its head.
    pub head: String,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// What the server at `host` answers.
pub fn ask(host: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n");
    // A server that says no at once need not read all of it.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{method} {path}: it ended behind {head:?}");
    }
    let length = |line: &str| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok();
    let mut body = vec![0; head.lines().find_map(length).unwrap_or_default()];
    reader.read_exact(&mut body).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: String::from_utf8(body).unwrap() }
}

/// What a page is told.
pub struct News(BufReader<TcpStream>);

impl News {
    /// The next event for which `is_wanted` holds.
    pub fn until(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
            if let Some(data) = line.strip_prefix("data: ") {
                let news: Value = serde_json::from_str(data).unwrap();
                if is_wanted(&news) {
                    return news;
                }
            }
        }
    }
}
