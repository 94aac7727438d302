//! Calls of the host that fail. For each kind of call, the first, the second … is made to fail (by strace), counted from where the
//! program begins: what its loader makes is not the machine's. Each thread is counted by itself, so one that makes few calls meets
//! only what the loader had none of. Either the machine ends and says why, or it goes on, does what it is asked for or says why not, and its books agree.
//! It never ends half: by a signal, with a defect of its own, or in silence.

use std::error::Error;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use dimmer::ctl::client::Method;
use dimmer_images::Kernel;
use dimmer_lab::rest::Rest;
use serde_json::{Value, json};

use crate::bare;
use crate::patience::wait_for;
use crate::{GIB, MIB, Outcome};

crate::tests!("host_faults": calls_that_fail_early, calls_that_fail_at_any_time);

/// A guest that sleeps for ever: hlt, and jmp to it.
const ASLEEP: &[u8] = &[0xf4, 0xeb, 0xfd];
/// Calls and what they fail with (the manual page of each).
const CALLS: [(&str, &str); 15] = [
    ("mmap", "ENOMEM"),
    ("munmap", "ENOMEM"),
    ("mprotect", "ENOMEM"),
    ("madvise", "ENOMEM"),
    ("ioctl", "ENOMEM"),
    ("fallocate", "ENOSPC"),
    ("ftruncate", "ENOSPC"),
    ("pwrite64", "ENOSPC"),
    ("fsync", "EIO"),
    ("openat", "EMFILE"),
    ("eventfd2", "EMFILE"),
    ("clone3", "EAGAIN"),
    ("epoll_wait", "EINTR"),
    ("accept4", "EMFILE"),
    ("recvfrom", "EINTR"),
];
/// The defect of Dimmer's own, by its exit status.
const DEFECT: i32 = 4;

/// Whether a filter of tests lets one of these through.
pub fn is_meant(filter: &str) -> bool {
    let mut names = TESTS.iter().map(|(name, _)| name);
    filter.contains("host_faults") || names.any(|name| name.contains(filter))
}

fn calls_that_fail_early(_: &Kernel) -> Outcome {
    let occasions = |call: &str| if matches!(call, "mmap" | "ioctl") { vec![1, 8, 34] } else { vec![1] };
    all(|call| occasions(call).into_iter())
}

fn calls_that_fail_at_any_time(_: &Kernel) -> Outcome {
    all(|_| 1..=400)
}

/// Fails each call on these occasions, until there is no such occasion any more; tells of all that went wrong.
fn all<I: Iterator<Item = usize>>(occasions: impl Fn(&str) -> I) -> Outcome {
    let mut wrong = Vec::new();
    for (call, error) in CALLS {
        for nth in occasions(call) {
            match failing(call, error, nth) {
                Ok(true) => {}
                Ok(false) => break,
                Err(problem) => wrong.push(format!("{call} {nth}, {error}: {problem}")),
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// Whether any such call was made to fail.
fn failing(call: &str, error: &str, nth: usize) -> Result<bool, Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let nth = loading(call, dir.path())? + nth;
    let mut machine = start(dir.path(), call, &format!("inject={call}:error={error}:when={nth}"))?;
    let lived = live(&mut machine, dir.path());
    // Whatever came of it, nothing of it stays.
    drop(machine.kill());
    machine.wait()?;
    let log = fs::read_to_string(dir.path().join("log"))?;
    let ended = lived.map_err(|problem| format!("{problem}\n{log}"))?;
    if let Some(status) = ended {
        let said = log.lines().any(|line| !line.trim().is_empty());
        let code = status.code().ok_or_else(|| format!("signal {:?}\n{log}", status.signal()))?;
        if code == 0 || code == DEFECT || !said || log.contains("panicked") {
            return Err(format!("{status}, which is no end with a reason:\n{log}").into());
        }
    }
    Ok(fs::read_to_string(dir.path().join("calls"))?.contains("(INJECTED)"))
}

/// How often the call is made until the program has begun.
fn loading(call: &str, dir: &Path) -> Result<usize, Box<dyn Error>> {
    let calls = dir.join("loading");
    let mut strace = Command::new("strace");
    strace.arg("-qqq").arg("-o").arg(&calls).args(["-e", &format!("trace={call}"), "--"]);
    // It ends as soon as it has begun.
    strace.arg(program(dir)?).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    Ok(fs::read_to_string(&calls)?.lines().count())
}

/// This program under the name by which it is `dimmer`.
fn program(dir: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let path = dir.join("dimmer");
    if !path.exists() {
        std::os::unix::fs::symlink(std::env::current_exe()?, &path)?;
    }
    Ok(path)
}

fn start(dir: &Path, call: &str, inject: &str) -> Result<Child, Box<dyn Error>> {
    let path = |name: &str| dir.join(name).display().to_string();
    fs::write(dir.join("guest"), bare::elf(ASLEEP))?;
    fs::File::create(dir.join("disk"))?.set_len(MIB)?;
    let mut command = Command::new("strace");
    // The machine is the child itself, and strace a process beside it.
    command.args([
        "-D",
        "-f",
        "-qqq",
        "-o",
        &path("calls"),
        "-e",
        &format!("trace={call}"),
        "-e",
        inject,
        "--",
    ]);
    command.arg(program(dir)?);
    // Without its sandbox: a call that strace lets fail becomes one that there is not, on no list.
    command.args([
        "run",
        "--sandbox",
        "off",
        "--kernel",
        &path("guest"),
        "--memory",
        "size=256M",
        "--serial",
        "null",
    ]);
    command.args(["--memory-hotplug", "method=acpi,slots=2,size=2G"]);
    command.args(["--memory-hotplug", "method=virtio-mem,size=1G,id=vmem0", "--rng", "--balloon", "size=1M"]);
    command.args(["--disk", &format!("path={}", path("disk")), "--api-socket", &path("api")]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(dir.join("log"))?);
    Ok(command.spawn()?)
}

/// Asks the machine for a little of everything; how it ended, if it did before it was asked to.
fn live(machine: &mut Child, dir: &Path) -> Result<Option<ExitStatus>, Box<dyn Error>> {
    let rest = Rest::new(&dir.join("api"))?;
    let begun = wait_for("an answer, or the machine's end", || {
        let ended = machine.try_wait()?;
        let answers = || rest.ask(Method::GET, "/vmm.ping", None).is_ok();
        Ok(ended.map(Some).or_else(|| answers().then_some(None)))
    })?;
    if begun.is_some() {
        return Ok(begun);
    }
    for round in 0..2 {
        for (method, path, body) in asked(round, &dir.join(format!("snapshot{round}"))) {
            if let Some(status) = ask(machine, &rest, method, path, body.as_ref())? {
                return Ok(Some(status));
            }
        }
    }
    // What fails now may be the look at the books, or the connection: another one tells.
    let books = wait_for("the books", || {
        if let Some(status) = machine.try_wait()? {
            return Ok(Some(Err(status)));
        }
        let unread = |problem: &String| problem.starts_with("the books cannot be read");
        let audit = rest.audit().ok().filter(|audit| !audit.problems.iter().any(unread));
        Ok(audit.map(|audit| Ok(audit.problems)))
    })?;
    match books {
        Err(status) => return Ok(Some(status)),
        Ok(problems) if !problems.is_empty() => {
            return Err(format!("the books do not agree: {problems:?}").into());
        }
        Ok(_) => {}
    }
    let mut answer = rest.ask(Method::PUT, "/vm.shutdown", None);
    let status = wait_for("the machine's end", || {
        let ended = machine.try_wait()?;
        if ended.is_none() && answer.is_err() {
            // The call that failed was one of this connection's.
            answer = rest.ask(Method::PUT, "/vm.shutdown", None);
        }
        Ok(ended)
    })?;
    match (status.code(), answer) {
        (Some(0), _) => Ok(None),
        // It met the failure on its way.
        (_, Err(_)) => Ok(Some(status)),
        (_, Ok(_)) => Err(format!("it was shut down, and ended with {status}").into()),
    }
}

fn asked(round: u64, snapshot: &Path) -> Vec<(Method, &'static str, Option<Value>)> {
    let dimm = json!({"kind": "dimm", "id": "d0", "size": 128 * MIB, "notify": "none"});
    vec![
        (Method::POST, "/memory-devices", Some(dimm)),
        (Method::PATCH, "/memory-devices/vmem0", Some(json!({"requested_size": (round + 1) * GIB / 4}))),
        (Method::PUT, "/vm.pause", None),
        (Method::PUT, "/vm.snapshot", Some(json!({ "destination": PathBuf::from(snapshot) }))),
        (Method::PUT, "/vm.resume", None),
        (Method::DELETE, "/memory-devices/d0", None),
        (Method::PUT, "/vm.reboot", None),
        (Method::GET, "/metrics", None),
    ]
}

/// Asks once, or until a connection holds: a call may have failed that took one. How the machine ended, if it did.
fn ask(
    machine: &mut Child,
    rest: &Rest,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Option<ExitStatus>, Box<dyn Error>> {
    let answer = wait_for(path, || {
        if let Some(status) = machine.try_wait()? {
            return Ok(Some(Err(status)));
        }
        Ok(rest.ask(method.clone(), path, body).ok().map(Ok))
    })?;
    match answer {
        Err(status) => Ok(Some(status)),
        Ok(answer) if answer.body.to_string().contains("defect") => {
            Err(format!("{path}: {}", answer.body).into())
        }
        Ok(_) => Ok(None),
    }
}
