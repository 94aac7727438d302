//! The server's life: its socket, and its end.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use dimmer_devices::memory::{EventSink, MemoryEvent, State};

use super::fake::{DEADLINE, FakeMachine, accept, device, spec};
use super::raw::{exchange, request};
use crate::access::Access;
use crate::api::limits::Limits;
use crate::api::server::start_with;
use crate::api::{Server, openapi, start};
use crate::control::Mailbox;
use crate::events::Hub;

fn start_at(path: &Path) -> io::Result<Server> {
    let (mailbox, _letters, _bell) = Mailbox::new()?;
    let access = Access { mailbox: Arc::new(mailbox), hub: Arc::new(Hub::default()), spec: Arc::new(spec()) };
    start(path, access, Box::new(|_| ()))
}

#[test]
fn the_socket_is_its_owners_alone_and_goes_with_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api");
    let server = start_at(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(server);
    assert!(!path.exists());
}

#[test]
fn a_socket_in_use_is_left_alone_and_a_stale_one_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api");
    let first = start_at(&path).unwrap();
    let error = start_at(&path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains("in use"), "{error}");
    assert_eq!(request(&path, "GET", "/vmm.ping", "").status, 200, "the first one still answers");
    drop(first);
    drop(UnixListener::bind(&path).unwrap());
    let _second = start_at(&path).unwrap();
    assert_eq!(request(&path, "GET", "/vmm.ping", "").status, 200);
}

#[test]
fn another_servers_socket_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api");
    let server = start_at(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    drop(server);
    assert!(path.exists());
}

#[test]
fn a_machine_that_is_gone_answers_409() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api");
    let _server = start_at(&path).unwrap();
    let response = request(&path, "GET", "/vm.info", "");
    assert_eq!((response.status, response.problem().as_str()), (409, "the machine has ended"));
}

#[test]
fn a_handler_that_panics_answers_500_and_the_connection_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api");
    let (mailbox, _letters, _bell) = Mailbox::new().unwrap();
    let (router, document) = openapi::routes();
    let at_once = axum::routing::get(async || panic!("a rule is broken") as ());
    let later = axum::routing::get(async || {
        tokio::task::yield_now().await;
        panic!("a rule is broken later") as ()
    });
    let routes = router.route("/api/v1/at-once", at_once).route("/api/v1/later", later);
    let unexpected = |words| panic!("the server itself has no defect: {words}");
    let access = Access { mailbox: Arc::new(mailbox), hub: Arc::new(Hub::default()), spec: Arc::new(spec()) };
    let _server =
        start_with((routes, document), Limits::default(), &path, access, Box::new(unexpected)).unwrap();
    for (place, words) in [("/at-once", "a rule is broken;"), ("/later", "a rule is broken later;")] {
        let response = request(&path, "GET", place, "");
        let detail = response.problem();
        assert_eq!(response.status, 500);
        assert!(detail.contains("defect of dimmer") && detail.contains(words), "{detail}");
    }
    let two = "GET /api/v1/later HTTP/1.1\r\nHost: x\r\n\r\n\
               GET /api/v1/vmm.ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let both = exchange(&path, two.as_bytes());
    assert!(both.status == 500 && both.body.contains("HTTP/1.1 200 "), "{both:?}");
}

#[test]
fn a_client_that_waits_is_told_when_the_server_ends() {
    let mut machine = FakeMachine::new(|_, hub| accept(hub, "d1", State::Plugging));
    let socket = machine.socket.clone();
    let client = thread::spawn(move || {
        request(&socket, "PATCH", "/memory-devices/d1?wait=20", r#"{"requested_size":0}"#)
    });
    machine.command();
    machine.stop();
    let response = client.join().unwrap();
    assert_eq!(response.status, 409);
    assert_eq!(response.problem(), "the machine ended before the change: the VMM stops");
}

#[test]
fn a_connection_without_a_request_does_not_hold_up_the_end() {
    let mut machine = FakeMachine::silent();
    let mut idle = UnixStream::connect(&machine.socket).unwrap();
    idle.set_read_timeout(Some(DEADLINE)).unwrap();
    idle.write_all(b"GET /api/v1/vmm.ping HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut start = [0; 12];
    idle.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    machine.stop();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(b"}"));
}

#[test]
fn a_client_that_does_not_take_its_answer_holds_up_the_end_for_a_moment_only() {
    let mut machine = FakeMachine::silent();
    let mut stuck = UnixStream::connect(&machine.socket).unwrap();
    stuck.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut start = [0; 12];
    stuck.read_exact(&mut start).unwrap();
    for _ in 0..10_000 {
        machine.hub.memory(MemoryEvent::Progress { device: device("d1", State::Plugging) });
    }
    machine.stop();
    assert!(!machine.socket.exists());
}
