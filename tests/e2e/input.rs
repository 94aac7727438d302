//! Bad input: a message that names what is wrong, nothing changed, no panic.

use std::error::Error;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use dimmer_images::Kernel;
use dimmer_lab::vm::{self, Setup};
use serde_json::{Value, json};

use crate::{GIB, MIB, Outcome};
use dimmer::ctl::client::Method;

crate::tests!("input": files, flags, requests, a_socket_in_use, hosts);

/// Runs `dimmer run` with `arguments`, which must fail with status 2 and all `words`.
fn assert_refused(command: &mut Command, words: &[&str]) -> Outcome {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{command:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{command:?}: {word:?} is not in: {said}");
    }
    assert!(!said.contains("panicked"), "{command:?}: {said}");
    Ok(())
}

fn run(kernel: &Path, arguments: &str) -> Command {
    let mut command = vm::dimmer();
    command.arg("run").arg("--kernel").arg(kernel).args(arguments.split_whitespace());
    if !arguments.contains("--serial") {
        command.args(["--serial", "null"]);
    }
    command
}

fn files(kernel: &Kernel) -> Outcome {
    let dir = tempfile::tempdir()?;
    let file = |name: &str| dir.path().join(name);
    fs::write(file("text"), "This is a text, and no kernel.\n".repeat(100))?;
    fs::write(file("empty"), "")?;
    for (name, whole) in [("bzimage", &kernel.bzimage), ("vmlinux", &kernel.vmlinux)] {
        let whole = fs::read(whole.as_ref().ok_or("Debian's kernels have both")?)?;
        fs::write(file(name), &whole[..whole.len() / 2])?;
    }
    File::create(file("huge"))?.set_len(2 * GIB)?;
    assert_refused(&mut run(&file("none"), ""), &["--kernel", "none"])?;
    assert_refused(&mut run(dir.path(), ""), &["--kernel"])?;
    for name in ["text", "empty", "bzimage", "vmlinux"] {
        assert_refused(&mut run(&file(name), ""), &["--kernel", name])?;
    }
    let huge = format!("--memory size=1G --initramfs {}", file("huge").display());
    assert_refused(&mut run(kernel.image(), &huge), &["--initramfs", "huge"])?;
    let none = format!("--initramfs {}", file("none").display());
    assert_refused(&mut run(kernel.image(), &none), &["--initramfs", "none"])
}

fn flags(kernel: &Kernel) -> Outcome {
    let cases: &[(&str, &[&str])] = &[
        ("--memory size=0", &["--memory", "size"]),
        ("--memory size=1000001", &["--memory", "size", "1000001"]),
        ("--memory size=99999999999G", &["--memory", "size", "99999999999G"]),
        ("--memory size=1G,speed=3", &["--memory", "speed", "size"]),
        ("--cpus 0", &["--cpus", "0"]),
        ("--cpus 100000", &["--cpus", "100000"]),
        ("--memory-hotplug method=acpi,slots=0,size=1G", &["--memory-hotplug", "slots"]),
        ("--memory-hotplug method=acpi,slots=1,size=0", &["--memory-hotplug", "size"]),
        ("--memory-hotplug method=acpi,slots=1,size=100M", &["--memory-hotplug", "size"]),
        ("--memory-hotplug method=acpi,slots=1,size=16777215T", &["--memory-hotplug", "16777215 TiB"]),
        ("--memory-hotplug method=virtio-mem,size=4000T", &["--memory-hotplug", "physical address bits"]),
        ("--memory-hotplug method=virtio-mem,size=1G,block=3M", &["--memory-hotplug", "block"]),
        ("--memory-hotplug method=virtio-mem,size=1G,requested=2G", &["--memory-hotplug", "requested"]),
        ("--memory-hotplug method=virtio-mem,size=1G,node=1", &["--memory-hotplug", "node"]),
        (
            "--memory-hotplug method=virtio-mem,size=1G,id=a --memory-hotplug method=virtio-mem,size=1G,id=a",
            &["--memory-hotplug", "id=a", "one device"],
        ),
        ("--memory-hotplug method=cxl,size=1G", &["--memory-hotplug", "method", "acpi"]),
        ("--numa id=0,cpus=0,memory=1M", &["--numa", "memory"]),
        ("--serial paper", &["--serial", "paper"]),
        ("--api-socket /no/such/dir/socket", &["--api-socket", "/no/such/dir/socket"]),
        ("--agent-socket /no/such/dir/socket", &["--agent-socket", "/no/such/dir/socket"]),
        ("--frobnicate", &["--frobnicate"]),
    ];
    for (arguments, words) in cases {
        assert_refused(&mut run(kernel.image(), arguments), words)?;
    }
    Ok(())
}

fn requests(kernel: &Kernel) -> Outcome {
    let arguments = "--memory-hotplug method=acpi,slots=1,size=2G \
        --memory-hotplug method=virtio-mem,size=1G,block=4M --memory size=512M";
    let vm = Setup::new(kernel).arguments(arguments).boot()?;
    vm.rest.add_dimm("d0", GIB)?;
    let state =
        || -> Result<Value, Box<dyn Error>> { Ok(vm.rest.tell(Method::GET, "/memory-devices", None)?) };
    let before = state()?;
    let dimm = |id: &str, size: u64| json!({"id": id, "kind": "dimm", "size": size});
    let cases = [
        (Method::POST, "/memory-devices", dimm("d1", 3 * GIB), 422, "size"),
        (Method::POST, "/memory-devices", dimm("d1", 0), 422, "size"),
        (Method::POST, "/memory-devices", dimm("d1", 100 * MIB), 422, "size"),
        (Method::POST, "/memory-devices", dimm("d1", GIB), 409, "slot"),
        (Method::POST, "/memory-devices", dimm("d0", GIB), 409, "id"),
        (Method::POST, "/memory-devices", dimm("vmem0", GIB), 409, "id"),
        (
            Method::POST,
            "/memory-devices",
            json!({"id": "x", "kind": "dimm", "size": GIB, "color": 1}),
            422,
            "color",
        ),
        (Method::POST, "/memory-devices", json!({"id": "x", "kind": "dimm", "size": "1G"}), 422, "size"),
        (
            Method::POST,
            "/memory-devices",
            json!({"id": "x", "kind": "dimm", "size": GIB, "node": 1}),
            422,
            "node",
        ),
        (Method::PATCH, "/memory-devices/vmem0", json!({"requested_size": 2 * GIB}), 422, "requested_size"),
        (Method::PATCH, "/memory-devices/vmem0", json!({"requested_size": 2 * MIB}), 422, "requested_size"),
        (Method::PATCH, "/memory-devices/none", json!({"requested_size": 0}), 404, "none"),
        (Method::DELETE, "/memory-devices/none", Value::Null, 404, "none"),
        (Method::DELETE, "/memory-devices/vmem0", Value::Null, 409, "vmem0"),
        (Method::DELETE, "/memory-devices", Value::Null, 405, ""),
        (Method::GET, "/no-such-path", Value::Null, 404, ""),
        (
            Method::PATCH,
            "/memory-devices/vmem0",
            json!({"requested_size": 0, "x": "y".repeat(1 << 20)}),
            413,
            "",
        ),
    ];
    for (method, path, body, status, word) in cases {
        let answer = vm.rest.ask(method.clone(), path, Some(&body).filter(|body| !body.is_null()))?;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        let said = format!("{} {}", answer.body["field"], answer.body["detail"]);
        assert!(said.contains(word), "{method} {path}: {word:?} is not in {said}");
    }
    assert_eq!(state()?, before, "nothing has changed");
    Ok(())
}

fn a_socket_in_use(kernel: &Kernel) -> Outcome {
    let vm = Setup::new(kernel).start()?;
    let socket = vm.api_socket().display().to_string();
    assert_refused(
        &mut run(kernel.image(), &format!("--api-socket {socket}")),
        &["--api-socket", &socket, "in use"],
    )?;
    vm.rest.tell(Method::GET, "/vmm.ping", None)?;
    Ok(())
}

/// No permission on /dev/kvm, and no virtualization in /proc/cpuinfo.
fn hosts(kernel: &Kernel) -> Outcome {
    const NOBODY: u32 = 65534;
    let dir = tempfile::tempdir()?;
    let cpuinfo = dir.path().join("cpuinfo");
    fs::write(&cpuinfo, "processor : 0\nflags : fpu sse2\n")?;
    let is_root = rustix::process::getuid().is_root();
    if is_root {
        let mut refused = run(kernel.image(), "");
        assert_refused(refused.uid(NOBODY).gid(NOBODY), &["/dev/kvm", "Permission denied", "group"])?;
    }
    // In a mount namespace of its own, a process sees other processors.
    let program = fs::read_link("/proc/self/exe")?;
    let script = "mount --bind \"$1\" /proc/cpuinfo && exec -a dimmer \"$2\" run --kernel \"$3\"";
    let mut other = Command::new("unshare");
    other.arg(if is_root { "-m" } else { "-rm" }).args(["bash", "-c", script, "bash"]);
    other.arg(&cpuinfo).arg(program).arg(kernel.image());
    assert_refused(&mut other, &["vmx", "svm", "dimmer-lab host"])
}
