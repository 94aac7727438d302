//! The sandbox that every machine is in: that all of its threads are, what happens where one is not enough, and who runs machines
//! in it.

use std::error::Error;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use dimmer::ctl::client::Method;
use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::rest::Rest;
use dimmer_lab::vm::{self, Setup};
use serde_json::json;

use crate::Outcome;
use crate::patience::wait_until;

crate::tests!("sandbox":
    every_thread_is_in_it,
    a_call_too_many_ends_the_machine,
    a_path_outside_is_refused,
    a_machine_without_it,
    an_ordinary_user,
    sockets_for_others,
);

/// What the kernel says of each thread: its name, and its status.
fn threads(pid: u32) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let mut all = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        let name = fs::read_to_string(task.join("comm"))?.trim().to_owned();
        all.push((name, fs::read_to_string(task.join("status"))?));
    }
    Ok(all)
}

fn every_thread_is_in_it(kernel: &Kernel) -> Outcome {
    let dir = tempfile::tempdir()?;
    let disk = dir.path().join("disk");
    File::create(&disk)?.set_len(1 << 20)?;
    let arguments = format!(
        "--cpus 2 --rng --balloon size=0 --memory-hotplug method=acpi,slots=1,size=1G --disk path={} --qmp {} --vsock cid=3,path={}",
        disk.display(),
        dir.path().join("qmp").display(),
        dir.path().join("vsock").display()
    );
    let mut vm = Setup::new(kernel).arguments(promised::MACHINE).arguments(&arguments).boot()?;
    // Also of a machine that was reset, whose vCPUs came later.
    vm.rest.tell(Method::PUT, "/vm.reboot", None)?;
    vm.rebooted()?;
    let threads = threads(vm.pid())?;
    for (name, status) in &threads {
        for line in ["Seccomp:\t2", "NoNewPrivs:\t1"] {
            assert!(status.contains(line), "{name} {line}: {status}");
        }
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert!(status.contains(&format!("{set}:\t0000000000000000")), "{name} {set}: {status}");
        }
    }
    let names: Vec<_> = threads.iter().map(|(name, _)| name.as_str()).collect();
    for name in ["vcpu0", "vcpu1", "api", "qmp", "disk", "vsock", "console", "snapshot"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    Ok(())
}

/// Any thread: one that was there from the start, and one that the main thread started.
fn a_call_too_many_ends_the_machine(kernel: &Kernel) -> Outcome {
    for thread in ["vcpu0", "api", "main"] {
        let dir = tempfile::tempdir()?;
        let mut command = vm::dimmer();
        command.arg("run").arg("--kernel").arg(kernel.image()).args([
            "--serial",
            "null",
            "--sandbox-try",
            thread,
        ]);
        let output = command.arg("--api-socket").arg(dir.path().join("api")).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{thread}: {said}");
        let expected =
            format!("dimmer: thread {thread} made a call that its sandbox does not allow: getppid (110)");
        assert!(said.contains(&expected), "{thread}: {said}");
    }
    Ok(())
}

fn a_path_outside_is_refused(kernel: &Kernel) -> Outcome {
    let vm = Setup::new(kernel).arguments(promised::MACHINE).start()?;
    let outside = Path::new("/var/lib/dimmer-outside");
    let snapshot = json!({"destination": outside});
    let fork = |api: &Path, serial: &Path| {
        let serial = format!("file={}", serial.display());
        let agent = vm.agent_socket().with_file_name("child.agent");
        json!({"id": "child", "api_socket": api, "agent_socket": agent, "serial": serial})
    };
    let beside = vm.api_socket().with_file_name("child.api");
    for (method, path, body, field) in [
        (Method::PUT, "/vm.snapshot", snapshot, "destination"),
        (Method::POST, "/vm.fork", fork(outside, &beside), "api_socket"),
        (Method::POST, "/vm.fork", fork(&beside, outside), "serial"),
    ] {
        let answer = vm.rest.ask(method, path, Some(&body))?;
        assert_eq!(answer.status, 422, "{path}: {}", answer.body);
        let said = answer.body.to_string();
        assert!(said.contains(field) && said.contains("--allow-path"), "{path}: {said}");
    }
    assert!(!outside.exists());
    Ok(())
}

/// With `--sandbox off` nothing is refused but what the host refuses.
fn a_machine_without_it(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel).arguments(promised::MACHINE).arguments("--sandbox off").boot()?;
    for (name, status) in threads(vm.pid())? {
        assert!(status.contains("Seccomp:\t0"), "{name}: {status}");
    }
    let child = vm.fork()?;
    for (name, status) in threads(child.pid())? {
        assert!(status.contains("Seccomp:\t0"), "{name}: {status}");
    }
    vm.rest.tell(Method::GET, "/vm.info", None)?;
    Ok(vm.shell("true").map(drop)?)
}

/// A user who is nobody in particular, and has KVM as a descriptor.
const USER: u32 = 1000;

fn an_ordinary_user(kernel: &Kernel) -> Outcome {
    let dir = tempfile::tempdir()?;
    // The kernel and this program may be where nobody else gets to.
    let image = dir.path().join("kernel");
    fs::copy(kernel.image(), &image)?;
    fs::set_permissions(&image, fs::Permissions::from_mode(0o644))?;
    chown(dir.path(), Some(USER), Some(USER))?;
    let kvm = File::options().read(true).write(true).open("/dev/kvm")?;
    let inherited = rustix::io::dup(&kvm)?;
    rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty())?;
    let api = dir.path().join("api");
    let user = USER.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"]);
    command.args(["bash", "-c", "exec -a dimmer \"$0\" \"$@\""]).arg(fs::read_link("/proc/self/exe")?);
    command.arg("run").arg("--kernel").arg(&image).arg("--api-socket").arg(&api);
    command.args(["--serial", "null", "--memory", "size=256M", "--stop-timeout", "0"]);
    command.arg("--kvm").arg(format!("fd={}", inherited.as_raw_fd()));
    let mut machine = command.stderr(Stdio::piped()).spawn()?;
    drop(inherited);
    wait_until("its API", || {
        let ended = machine.try_wait()?;
        assert!(ended.is_none(), "{ended:?}");
        Ok(UnixStream::connect(&api).is_ok())
    })?;
    assert_eq!(fs::metadata(&api)?.uid(), USER);
    assert_eq!(Rest::new(&api)?.tell(Method::GET, "/vm.info", None)?["state"], "running");
    for (name, status) in threads(machine.id())? {
        let ours = format!("Uid:\t{USER}\t{USER}\t{USER}\t{USER}");
        assert!(status.contains(&ours) && status.contains("Seccomp:\t2"), "{name}: {status}");
    }
    let pid = rustix::process::Pid::from_child(&machine);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    let status = machine.wait()?;
    let mut said = String::new();
    machine.stderr.take().ok_or("it is piped")?.read_to_string(&mut said)?;
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(!api.exists(), "it removes its socket: {said}");
    Ok(())
}

/// Others may come to a socket when that is asked for, and nobody may who is on no list.
fn sockets_for_others(kernel: &Kernel) -> Outcome {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let arguments = format!("--sockets mode=0660,group={group},uid={user}");
    let vm = Setup::new(kernel).arguments(&arguments).start()?;
    // It answers once all of them are there.
    vm.rest.tell(Method::GET, "/vm.info", None)?;
    for socket in [vm.api_socket().as_path(), vm.agent_socket()] {
        let file = fs::metadata(socket)?;
        assert_eq!(
            (file.mode() & 0o777, file.uid(), file.gid()),
            (0o660, user, group),
            "{}",
            socket.display()
        );
    }
    drop(vm);
    let dir = tempfile::tempdir()?;
    let api = dir.path().join("api");
    let mut command = vm::dimmer();
    command.arg("run").arg("--kernel").arg(kernel.image()).args(["--serial", "null", "--stop-timeout", "0"]);
    command.arg("--api-socket").arg(&api).arg("--sockets").arg(format!("uid={}", user + 1));
    let mut machine = command.spawn()?;
    wait_until("its socket", || Ok(UnixStream::connect(&api).is_ok()))?;
    let mut answer = Vec::new();
    UnixStream::connect(&api)?.read_to_end(&mut answer)?;
    assert!(answer.is_empty(), "who is not on the list hears nothing");
    let pid = rustix::process::Pid::from_child(&machine);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    assert_eq!(machine.wait()?.code(), Some(0));
    Ok(())
}
