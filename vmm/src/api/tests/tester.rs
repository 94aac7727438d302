//! A property-based tester of APIs (schemathesis, from PyPI) against the document and a machine that answers everything: no status
//! that is not documented, no answer that is not as its schema says, no 500.
//!
//! It needs `schemathesis` on PATH; where it is not, the test says so and ends.

use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::thread;

use dimmer_devices::memory::{EventSink, MemoryEvent, Outcome, State};
use dimmer_devices::processors::{ProcessorEvent, ProcessorSink};

use super::fake::{Answer, FakeMachine, accept, accept_cpus, device, ended, processors, with_balloon};
use super::raw::request;
use crate::audit::Audit;
use crate::control::{Command, Counts, Forked, Refusal, Reply};
use crate::events::Hub;
use crate::spec::ForkSpec;

/// Cases for each operation; there are more than thirty of them.
const CASES: &str = "100";
/// Fewer cases in all than this are a sign that something was left out.
const AT_LEAST: usize = 1000;

/// A machine with a virtio-mem device, which does what it is asked for at once.
fn willing(command: &Command, hub: &Hub) -> Answer {
    let known = |id: &str| match id {
        "vmem0" => Ok(()),
        other => Err(Refusal::NotFound(format!("there is no memory device {other:?}"))),
    };
    match command {
        Command::Info => Ok(Reply::Info(with_balloon().into())),
        Command::Devices => Ok(Reply::Devices(vec![device("vmem0", State::Plugged)])),
        Command::Device(id) => known(id).map(|()| Reply::Device(device("vmem0", State::Plugged))),
        Command::AddDimm(dimm) => at_once(hub, &dimm.dimm.id),
        Command::AddVirtioMem(device) => at_once(hub, &device.id),
        Command::Resize { id, .. } => known(id).and_then(|()| at_once(hub, id)),
        Command::ResizeTotal(_) => at_once(hub, "vmem0"),
        Command::Remove(id) => known(id).and_then(|()| Err(Refusal::Conflict("it stays".to_owned()))),
        Command::ResizeCpus(count @ 1..=4) => {
            let answer = accept_cpus(hub, u16::try_from(*count).expect("a small number"));
            hub.processors(ProcessorEvent::CpusFinished { cpus: processors(2, 2) });
            answer
        }
        Command::ResizeCpus(_) => Err(Refusal::Invalid("desired_vcpus: must be 1 to 4".to_owned())),
        Command::Cpus => Ok(Reply::Cpus(processors(2, 2))),
        Command::Ost(id) => known(id).map(|()| Reply::Ost(Vec::new())),
        Command::AllOst => Ok(Reply::Ost(Vec::new())),
        Command::Requests(id) => known(id).map(|()| Reply::Requests(Vec::new())),
        Command::Counts => Ok(Reply::Counts(Counts::default())),
        Command::Audit => {
            Ok(Reply::Audit(Audit { ok: true, problems: Vec::new(), devices: Vec::new(), areas: Vec::new() }))
        }
        Command::Faults | Command::SetFaults(_) => Ok(Reply::Faults(Vec::new())),
        Command::Vcpus => Ok(Reply::Vcpus(Vec::new())),
        Command::Fork(ForkSpec { id, api_socket, agent_socket, .. }) => Ok(Reply::Forked(Forked {
            id: id.clone(),
            pid: 4711,
            api_socket: api_socket.clone(),
            agent_socket: agent_socket.clone(),
        })),
        _ => Ok(Reply::Done),
    }
}

/// Accepts a change, which has ended by then.
fn at_once(hub: &Hub, id: &str) -> Answer {
    let answer = accept(hub, id, State::Plugging);
    hub.memory(MemoryEvent::Finished { device: ended(id, State::Plugged, Outcome::Done, None) });
    answer
}

#[test]
fn a_tester_of_apis_finds_nothing() {
    let Some(tester) = found("schemathesis") else {
        // Not by `eprintln!`, which a test that passes keeps to itself.
        let why = "left out: there is no schemathesis on PATH (pip install schemathesis)";
        return writeln!(io::stderr(), "a_tester_of_apis_finds_nothing is {why}").unwrap();
    };
    let machine = FakeMachine::new(willing);
    let directory = tempfile::tempdir().unwrap();
    let document = directory.path().join("openapi.json");
    std::fs::write(&document, request(&machine.socket, "GET", "/openapi.json", "").body).unwrap();
    let mut program = Program::new(tester);
    program.args([
        "run",
        "--url",
        &format!("http://{}", bridge(&machine.socket)),
        "--seed",
        "1",
        "--no-color",
    ]);
    // A stream of events does not end; `streams.rs` is about it. And a schema says how a value is made, while what a machine
    // takes depends on what it has: that is answered with 422, which is documented.
    program.args(["--exclude-path", "/api/v1/events", "--exclude-checks", "positive_data_acceptance"]);
    program.args(["--phases", "examples,coverage,fuzzing", "--max-examples", CASES]);
    let output = program.arg(&document).current_dir(directory.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let cases = text
        .lines()
        .find_map(|line| line.split_once(" generated")?.0.split_whitespace().last()?.parse().ok());
    assert!(cases >= Some(AT_LEAST), "{cases:?} cases: {text}");
}

/// The program of this name on PATH.
fn found(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|program| program.is_file())
}

/// A TCP port behind which the socket is: the tester knows no other. Its threads end with the test's process.
fn bridge(socket: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, socket) = (listener.local_addr().unwrap().to_string(), socket.to_owned());
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = UnixStream::connect(&socket) else { return };
            let (other_client, other_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || carry(client, server, |server| server.shutdown(std::net::Shutdown::Write)));
            thread::spawn(move || {
                carry(other_server, other_client, |client: &TcpStream| {
                    client.shutdown(std::net::Shutdown::Write)
                })
            });
        }
    });
    address
}

fn carry<W: io::Write>(mut from: impl io::Read, mut to: W, end: impl FnOnce(&W) -> io::Result<()>) {
    // Either side may go at any time.
    drop(io::copy(&mut from, &mut to));
    drop(end(&to));
}
