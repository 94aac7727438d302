//! Snapshots and forks: paths are this process's, and the machine gets them from the root on.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{PathBuf, absolute};

use super::{Cli, Job, complaint, ctl, done, run};
use crate::api::tests::fake::{FakeMachine, child, info, parent};
use crate::control::{Command, Forked, Refusal, Reply, VmInfo, VmState};
use crate::spec::{ForkSpec, RestoredMemory, SerialSpec, SnapshotSpec};
use clap::Parser;

fn here(path: &str) -> PathBuf {
    let path = absolute(path).unwrap();
    assert!(path.is_absolute());
    path
}

#[test]
fn a_snapshot_goes_to_a_directory_of_this_process_and_says_nothing() {
    let machine = parent();
    for (words, place) in
        [("snapshot snap", "snap"), ("snapshot ./a/../snap", "a/../snap"), ("snapshot /srv/s", "/srv/s")]
    {
        assert_eq!(ctl(&machine.socket, words), done(""), "{words}");
        let spec = SnapshotSpec { destination: here(place), ..SnapshotSpec::default() };
        assert_eq!(machine.command(), Command::Snapshot(spec), "{words}");
    }
    let table = [
        ("--track", None, Some(true)),
        ("--track=off", None, Some(false)),
        ("--base a", Some(here("a")), None),
        ("--base /a --track=on", Some("/a".into()), Some(true)),
    ];
    for (words, base, track) in table {
        assert_eq!(ctl(&machine.socket, &format!("snapshot b {words}")), done(""), "{words}");
        let spec = SnapshotSpec { destination: here("b"), base, track };
        assert_eq!(machine.command(), Command::Snapshot(spec), "{words}");
    }
}

#[test]
fn a_fork_is_asked_for_with_paths_of_this_process_and_told_of() {
    let machine = parent();
    let spec = |serial| ForkSpec { api_socket: here("child.api"), ..child(serial) };
    let fork = "fork --id child --child-api-socket child.api";
    let said = format!("child: process 4711, --api-socket {}\n", here("child.api").display());
    let table = [
        (String::new(), spec(SerialSpec::Null)),
        (" --serial null".to_owned(), spec(SerialSpec::Null)),
        (" --serial file=log".to_owned(), spec(SerialSpec::File(here("log")))),
        (" --serial socket=/run/console".to_owned(), spec(SerialSpec::Socket("/run/console".into()))),
        (
            " --restore-memory copy".to_owned(),
            ForkSpec { memory: Some(RestoredMemory::Copy), ..spec(SerialSpec::Null) },
        ),
        (
            " --child-agent-socket child.agent --paused".to_owned(),
            ForkSpec { agent_socket: Some(here("child.agent")), paused: true, ..spec(SerialSpec::Null) },
        ),
    ];
    for (more, expected) in table {
        assert_eq!(ctl(&machine.socket, &format!("{fork}{more}")), done(&said), "{more}");
        assert_eq!(machine.command(), Command::Fork(expected), "{more}");
    }
    let (status, json, _) = ctl(&machine.socket, &format!("{fork} --json"));
    let child: Forked = serde_json::from_str(&json).unwrap();
    let expected =
        Forked { id: "child".to_owned(), pid: 4711, api_socket: here("child.api"), agent_socket: None };
    assert_eq!((status, child), (0, expected));
}

#[test]
fn what_is_refused_is_said_and_tells_by_the_exit_status_who_is_to_do_something() {
    let table = [
        (Refusal::Conflict("this machine shows its guest the CPU's virtualization".to_owned()), 1),
        (Refusal::Invalid("id=\"a/b\": must be 1 to 64 letters".to_owned()), 2),
        (Refusal::Host("destination: /a: make: No space left on device".to_owned()), 2),
    ];
    for (refusal, status) in table {
        let text = refusal.to_string();
        let machine = FakeMachine::new(move |_, _| Err(refusal.clone()));
        for words in ["snapshot /a", "fork --id child --child-api-socket /a"] {
            assert_eq!(ctl(&machine.socket, words), complaint(status, &text), "{words}");
        }
    }
}

#[test]
fn a_path_that_is_no_text_is_a_complaint() {
    let machine = FakeMachine::silent();
    let socket = machine.socket.as_os_str();
    let odd = OsStr::from_bytes(b"/srv/\xff");
    let snapshot = ["snapshot".as_ref(), odd];
    let fork = ["fork", "--id", "child", "--child-api-socket"].map(OsStr::new);
    let agent = ["/a", "--child-agent-socket"].map(OsStr::new);
    for words in [&snapshot[..], &[&fork[..], &[odd]].concat(), &[&fork[..], &agent, &[odd]].concat()] {
        let words = [&["dimmer", "ctl", "--api-socket"].map(OsStr::new)[..], &[socket], words].concat();
        let Job::Ctl(arguments) = Cli::try_parse_from(words).unwrap().command else { panic!("not ctl") };
        let (mut out, mut complaints) = (Vec::new(), Vec::new());
        assert_eq!((run(&arguments, &mut out, &mut complaints), out), (2, vec![]));
        let expected = "dimmer ctl: /srv/\u{fffd}: a path must be text (UTF-8)\n";
        assert_eq!(String::from_utf8(complaints).unwrap(), expected);
    }
}

#[test]
fn a_console_that_is_none_is_bad_usage() {
    let words = "dimmer ctl --api-socket s fork --id child --child-api-socket a --serial tty".split(' ');
    let error = Cli::try_parse_from(words).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("must be stdio, null, file=PATH or socket=PATH"), "{error}");
}

#[test]
fn a_fork_is_described_with_its_name() {
    let machine = FakeMachine::new(|_, _| {
        let id = Some("child".to_owned());
        Ok(Reply::Info(VmInfo { id, ..info(VmState::Running, Vec::new()) }.into()))
    });
    let (status, text, _) = ctl(&machine.socket, "info");
    assert_eq!(status, 0);
    assert!(text.starts_with("Name        child\nState       running\n"), "{text}");
}
