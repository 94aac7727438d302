//! A request of HTTP that is well formed as such: one of the operations of the API's document, or a part of another API, with
//! anything in its place for names, as its query, and as its body.

use std::fmt::Write as _;
use std::sync::OnceLock;

use arbitrary::Unstructured;
use serde_json::Value;

use super::{Then, machine, talk};

/// Parts of the APIs of other monitors, which the document does not have.
const OTHERS: [(&str, &str); 8] = [
    ("PUT", "/api/v1/vm.add-disk"),
    ("PUT", "/api/v1/vm.resize-zone"),
    ("GET", "/api/v1/vmm.ping"),
    ("PATCH", "/hotplug/memory"),
    ("PUT", "/machine-config"),
    ("PATCH", "/vm"),
    ("PUT", "/actions"),
    ("PATCH", "/balloon"),
];
/// A stream that does not end.
const STREAM: &str = "/api/v1/events";

#[derive(Debug)]
pub struct Request<'a> {
    pub method: &'a str,
    path: String,
    body: &'a [u8],
}

impl<'a> Request<'a> {
    /// What the bytes make; `None` where they are too few.
    pub fn made_of(bytes: &'a [u8]) -> Option<Self> {
        let mut bytes = Unstructured::new(bytes);
        let (method, template) = bytes.choose(operations()).ok()?;
        let name: &str = bytes.arbitrary().ok()?;
        let query: &str = bytes.arbitrary().ok()?;
        let mut path = match template.split_once('{').zip(template.split_once('}')) {
            Some(((before, _), (_, behind))) => format!("{before}{}{behind}", escaped(name)),
            None => template.clone(),
        };
        if !query.is_empty() {
            let _ = write!(path, "?{}", escaped(query));
        }
        Some(Self { method, path, body: bytes.take_rest() })
    }

    /// As it is sent.
    pub fn bytes(&self) -> Vec<u8> {
        let (method, path, length) = (self.method, &self.path, self.body.len());
        let mut all = format!(
            "{method} {path} HTTP/1.1\r\nHost: machine\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n"
        )
        .into_bytes();
        all.extend(self.body);
        all
    }
}

/// Text as a part of a path or query: what may not stand there as a percent sign and two digits (RFC 3986, section 2.1).
fn escaped(text: &str) -> String {
    let mut all = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'=' | b'&' | b'-' | b'_' | b'.' => {
                all.push(byte.into())
            }
            _ => {
                let _ = write!(all, "%{byte:02X}");
            }
        }
    }
    all
}

/// Methods and paths: those of the document, as the server gives it, and the others.
fn operations() -> &'static [(String, String)] {
    static OPERATIONS: OnceLock<Vec<(String, String)>> = OnceLock::new();
    OPERATIONS.get_or_init(|| {
        let wanted = "GET /api/v1/openapi.json HTTP/1.1\r\nHost: machine\r\nConnection: close\r\n\r\n";
        let answer = String::from_utf8(talk(&machine().api, wanted.as_bytes(), Then::Waits)).expect("text");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        let document: Value = serde_json::from_str(body).expect("the document");
        let mut all: Vec<_> = OTHERS.map(|(method, path)| (method.to_owned(), path.to_owned())).into();
        for (path, operations) in document["paths"].as_object().expect("paths") {
            let methods = operations.as_object().expect("operations").keys();
            let path = if path.starts_with("/api") { path.clone() } else { format!("/api/v1{path}") };
            all.extend(methods.map(|method| (method.to_uppercase(), path.clone())));
        }
        all.retain(|(_, path)| path != STREAM);
        all
    })
}
