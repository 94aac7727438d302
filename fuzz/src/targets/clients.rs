//! What clients write to a machine's sockets: HTTP and QMP, to the servers as they are. Behind them is a machine that has an
//! answer to every command.
//!
//! What comes back must be what the protocol says, of a status that Dimmer has a meaning for, and never a defect.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

mod machine;
mod request;

use machine::machine;
use request::Request;

/// How long an answer may take before it is taken for one that never comes.
const PATIENCE: Duration = Duration::from_secs(20);
/// Statuses with a meaning (`vmm/src/api.rs`), and those of HTTP's own grammar: 414 and 431 for heads that are too long. Not 500:
/// this machine never fails, so that it would be a defect.
const STATUSES: [u16; 15] = [200, 202, 204, 400, 404, 405, 408, 409, 413, 414, 415, 422, 431, 501, 503];

/// The first byte says whether the rest is HTTP as it comes, or what a request is made of.
pub fn rest(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    if kind % 2 == 0 {
        let answer = talk(&machine().api, bytes, Then::HangsUp);
        if !answer.is_empty() {
            status(&answer);
        }
        return;
    }
    let Some(request) = Request::made_of(bytes) else { return };
    let answer = talk(&machine().api, &request.bytes(), Then::Waits);
    let status = status(&answer);
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("the end of the head");
    let (head, body) = (String::from_utf8_lossy(&answer[..head]).to_lowercase(), &answer[head + 4..]);
    if head.contains("content-type: application/json") && request.method != "HEAD" {
        serde_json::from_slice::<Value>(body)
            .unwrap_or_else(|error| panic!("{request:?}: {status} with a body that is no JSON: {error}"));
    }
}

/// The status of the first answer.
fn status(answer: &[u8]) -> u16 {
    let line = answer.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
    let status = line.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status line: {}", String::from_utf8_lossy(answer)));
    assert!(STATUSES.contains(&status), "status {status}: {}", String::from_utf8_lossy(answer));
    status
}

/// The first byte says whether the client negotiates before it says the rest.
pub fn qmp(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let mut said = if kind % 2 == 0 { b"{\"execute\": \"qmp_capabilities\"}\n".to_vec() } else { Vec::new() };
    said.extend(bytes);
    // A number ends with what comes behind it.
    said.push(b'\n');
    let values: Vec<_> = serde_json::Deserializer::from_slice(&said).into_iter::<Value>().collect();
    let answer = talk(&machine().qmp, &said, Then::HangsUp);
    let mut answers = 0;
    for line in answer.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let message: Value = serde_json::from_slice(line).expect("every line is JSON");
        let is = |key| message.get(key).is_some();
        assert!(is("QMP") || is("event") || (is("return") != is("error")), "no message of QMP: {message}");
        let class = &message["error"]["class"];
        let known = ["GenericError", "CommandNotFound", "DeviceNotFound"];
        assert!(class.is_null() || known.iter().any(|name| class == name), "no class of QMP: {message}");
        answers += usize::from(is("return") || is("error"));
    }
    // Each value of one message after another has its answer, unless `quit` ends all of them.
    let ends = values.iter().flatten().any(|value| value["execute"] == "quit");
    if said.len() < 65536 && !ends && values.iter().all(Result::is_ok) {
        assert_eq!(answers, values.len(), "{values:?}\n{}", String::from_utf8_lossy(&answer));
    }
}

/// What a client does when it has said everything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It says that nothing more comes, which is the end for a server of HTTP, whatever is under way.
    HangsUp,
    /// It waits until the server hangs up.
    Waits,
}

/// Says `bytes`, and hears all that is answered.
fn talk(socket: &Path, bytes: &[u8], then: Then) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).expect("the server is there");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    stream.set_write_timeout(Some(PATIENCE)).expect("a time");
    // It may hang up before it has read all.
    let said = stream.write_all(bytes);
    if then == Then::HangsUp {
        let _ = said.and_then(|()| stream.shutdown(Shutdown::Write));
    }
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!("no answer, and no end either")
        }
        _ => answer,
    }
}
