//! What processes in the sandbox can do, and cannot: each test is a child process of the test's own program.

use std::fs;
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::mpsc;

use syscalls::Sysno;

use super::*;
use crate::spec::SandboxMode;

mod source;

/// What the process of [`child`] is to do: a kind of thread, and the name of something to try.
const CHILD: &str = "DIMMER_SANDBOX_CHILD";
/// A directory that it may write to.
const ALLOWED: &str = "DIMMER_SANDBOX_ALLOWED";
/// Exit status of one that did it.
const DID: i32 = 42;

/// Something to try: its name, and the thing. An error is one of the host's.
type Deed = (&'static str, fn() -> io::Result<()>);

/// What no thread may do, by the call that is named then.
const FORBIDDEN: [Deed; 7] = [
    ("execve", || call(libc::SYS_execve)),
    ("socket", || TcpListener::bind("127.0.0.1:0").map(drop)),
    ("mmap", executable_memory),
    ("tgkill", || call_with(libc::SYS_tgkill, [1, 1, 0])),
    ("ptrace", || call(libc::SYS_ptrace)),
    ("bpf", || call(libc::SYS_bpf)),
    ("ioctl", || rustix::termios::tcgetpgrp(io::stdin()).map(drop).map_err(Into::into)),
];

/// What every thread may do.
fn harmless() -> io::Result<()> {
    io::stderr().write_all(b"complained\n")?;
    std::panic::catch_unwind(|| panic!("of no importance")).unwrap_or(());
    much_memory()?;
    call_with(libc::SYS_getrandom, [0; 3])?;
    std::thread::sleep(std::time::Duration::from_nanos(1));
    // The kernel picks the thread that handles a signal to the process.
    signal_hook::low_level::raise(signal_hook::consts::SIGTERM)?;
    std::process::exit(DID)
}

#[expect(unsafe_code, reason = "system calls as such")]
fn call_with(number: i64, arguments: [usize; 3]) -> io::Result<()> {
    let [first, second, third] = arguments;
    // SAFETY: the calls that are made here with these arguments touch no memory of this process's.
    let result = unsafe { libc::syscall(number, first, second, third) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn call(number: i64) -> io::Result<()> {
    call_with(number, [0; 3])
}

#[expect(unsafe_code, reason = "a mapping that can be executed")]
fn executable_memory() -> io::Result<()> {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
    let flags = ProtFlags::READ | ProtFlags::EXEC;
    // SAFETY: a new mapping, placed by the kernel, which nobody uses.
    unsafe { mmap_anonymous(std::ptr::null_mut(), 4096, flags, MapFlags::PRIVATE) }?;
    Ok(())
}

/// Memory of all sizes comes and goes, also from one thread to another.
fn much_memory() -> io::Result<()> {
    for size in [10, 1_000, 100_000, 10_000_000] {
        let mut pieces: Vec<_> = (0..20).map(|_| vec![1_u8; size]).collect();
        pieces.iter_mut().for_each(|piece| piece.resize(2 * size, 2));
        drop(std::hint::black_box(pieces));
    }
    Ok(())
}

/// The process that tries: no test, unless it is one's child.
#[test]
fn child() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let (kind, deed) = task.split_once(' ').unwrap();
    let kind = Kind::ALL.into_iter().find(|other| format!("{other:?}") == kind).unwrap();
    let allowed = std::env::var_os(ALLOWED).map(PathBuf::from);
    let spec = SandboxSpec {
        mode: SandboxMode::On,
        allowed: allowed.iter().cloned().collect(),
        ..SandboxSpec::default()
    };
    let confined = Confined { paths: Paths::default(), sockets: Vec::new(), snapshots: Vec::new() };
    let _signals = crate::machine::signals::Signals::new().unwrap();
    prepare(&spec, confined).unwrap();
    if deed == "status" {
        eprintln!("{}", status_of(kind));
        std::process::exit(DID);
    }
    let deed = deed.to_owned();
    let done = if kind == Kind::EventLoop && deed.starts_with("thread") {
        close().unwrap();
        let kind = if deed == "thread vcpu" { Kind::Vcpu } else { Kind::Fork };
        // What the thread may not, though the one that started it may.
        spawn(kind, "later", || fs::File::open("/dev/null").map(drop)).unwrap().join().unwrap()
    } else {
        spawn(kind, "tried", move || act(&deed, allowed.as_deref())).unwrap().join().unwrap()
    };
    if let Err(error) = done {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
    std::process::exit(DID);
}

fn act(deed: &str, allowed: Option<&Path>) -> io::Result<()> {
    let known = FORBIDDEN.iter().find(|(name, _)| *name == deed);
    match (known, deed) {
        (Some((_, act)), _) => act(),
        (None, "harmless") => harmless(),
        (None, "kept") => kept::text(Path::new(kept::STATUS)).map(drop),
        (None, "open") => fs::File::open("/etc/passwd").map(drop),
        (None, "snapshot") => {
            let directory = allowed.unwrap().join("snap");
            fs::create_dir(&directory)?;
            fs::write(directory.join("memory"), "x")?;
            fs::rename(&directory, directory.with_file_name("other"))?;
            fs::remove_dir_all(directory.with_file_name("other"))
        }
        (None, "outside") => fs::write(allowed.unwrap().parent().unwrap().join("outside"), "x"),
        (None, other) => panic!("{other}?"),
    }
}

/// What the kernel says of a thread in its sandbox, which cannot ask itself.
fn status_of(kind: Kind) -> String {
    let (tell, told) = mpsc::channel();
    let (let_go, wait) = mpsc::channel::<()>();
    let thread = spawn(kind, "tried", move || {
        tell.send(rustix::thread::gettid()).unwrap();
        let _ = wait.recv();
    });
    let path = format!("/proc/self/task/{}/status", told.recv().unwrap().as_raw_nonzero());
    let status = fs::read_to_string(path).unwrap();
    drop(let_go);
    thread.unwrap().join().unwrap();
    status
}

fn run(kind: Kind, deed: &str, allowed: Option<&Path>) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "sandbox::tests::child", "--nocapture"]).env(CHILD, format!("{kind:?} {deed}"));
    command.env("RUST_BACKTRACE", "1").envs(allowed.map(|allowed| (ALLOWED, allowed)));
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn assert_dies_of(kind: Kind, call: &str) {
    let output = run(kind, call, None);
    let words = said(&output);
    let number = call.parse::<Sysno>().unwrap().id();
    let expected =
        format!("dimmer: thread tried made a call that its sandbox does not allow: {call} ({number})\n");
    assert_eq!(output.status.code(), Some(4), "{kind:?} {call}: {words}");
    assert!(words.contains(&expected), "{kind:?} {call}: {words}");
}

#[test]
fn a_thread_dies_of_what_it_may_not_and_says_so() {
    Kind::ALL.into_iter().for_each(|kind| assert_dies_of(kind, "execve"));
    // With the longest list, and with one that has a bit of each.
    for kind in [Kind::EventLoop, Kind::Vsock] {
        FORBIDDEN.iter().for_each(|(call, _)| assert_dies_of(kind, call));
    }
}

#[test]
fn a_thread_lives_on_with_what_all_threads_do() {
    for kind in Kind::ALL {
        let output = run(kind, "harmless", None);
        assert_eq!(output.status.code(), Some(DID), "{kind:?}: {}", said(&output));
    }
}

/// A vCPU says how many huge pages there are when there are too few; a server, how much memory it all takes.
#[test]
fn what_is_kept_is_read_by_those_who_say_it() {
    for kind in [Kind::Vcpu, Kind::Memory, Kind::Server, Kind::EventLoop, Kind::Snapshot] {
        let output = run(kind, "kept", None);
        assert_eq!(output.status.code(), Some(DID), "{kind:?}: {}", said(&output));
    }
}

#[test]
fn files_are_opened_by_those_alone_who_may_and_only_where_it_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let allowed = dir.path().join("allowed");
    fs::create_dir(&allowed).unwrap();
    for kind in [Kind::Vcpu, Kind::Disk, Kind::Pmem, Kind::Vsock, Kind::Server] {
        let output = run(kind, "open", Some(&allowed));
        assert_eq!(output.status.code(), Some(4), "{kind:?}: {}", said(&output));
        assert!(said(&output).contains("does not allow: openat"), "{kind:?}: {}", said(&output));
    }
    let snapshot = run(Kind::Snapshot, "snapshot", Some(&allowed));
    assert_eq!(snapshot.status.code(), Some(DID), "{}", said(&snapshot));
    for deed in ["open", "outside"] {
        let output = run(Kind::Snapshot, deed, Some(&allowed));
        assert_eq!(output.status.code(), Some(1), "{deed}: {}", said(&output));
        assert!(said(&output).contains("Permission denied"), "{deed}: {}", said(&output));
    }
    assert!(!dir.path().join("outside").exists());
}

#[test]
fn a_thread_that_is_started_later_may_no_more_than_its_kind() {
    for deed in ["thread vcpu", "thread fork"] {
        let output = run(Kind::EventLoop, deed, None);
        let words = said(&output);
        assert_eq!(output.status.code(), Some(4), "{deed}: {words}");
        assert!(
            words.contains("dimmer: thread later made a call that its sandbox does not allow: openat"),
            "{words}"
        );
    }
}

#[test]
fn the_kernel_says_that_every_thread_is_in_its_sandbox() {
    for kind in Kind::ALL {
        let words = said(&run(kind, "status", None));
        for line in
            ["NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000"]
        {
            assert!(words.contains(line), "{kind:?} {line}: {words}");
        }
    }
}

#[test]
fn a_directory_that_is_not_there_is_refused_with_the_flag() {
    let spec = SandboxSpec { allowed: vec!["/nonexistent".into()], ..SandboxSpec::default() };
    let confined = Confined { paths: Paths::default(), sockets: Vec::new(), snapshots: Vec::new() };
    let error = prepare(&spec, confined).unwrap_err().to_string();
    assert_eq!(error, "--allow-path /nonexistent: must be a directory that is there");
}
