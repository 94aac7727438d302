//! HTTP as bytes: requests that no well-behaved client would send, and all of what comes back.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use super::fake::DEADLINE;

/// A response, taken apart.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Response {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The detail of a problem, which must be one in every respect.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["status"], self.status, "{json}");
        assert!(json["title"].as_str().is_some_and(|title| !title.is_empty()), "{json}");
        json["detail"].as_str().expect("a detail").to_owned()
    }

    /// The field that a problem names.
    pub fn field(&self) -> Option<String> {
        self.json()["field"].as_str().map(str::to_owned)
    }
}

/// Sends `request` as it stands, and reads until the server closes the connection.
pub fn exchange(socket: &Path, request: &[u8]) -> Response {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(request).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP response: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Response { status, head: head.to_owned(), body: body.to_owned() }
}

/// Sends one request with a body, and no media type.
pub fn request(socket: &Path, method: &str, path: &str, body: &str) -> Response {
    let length = body.len();
    let head = format!("{method} /api/v1{path} HTTP/1.1\r\nHost: dimmer\r\nConnection: close\r\n");
    exchange(socket, format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes())
}
