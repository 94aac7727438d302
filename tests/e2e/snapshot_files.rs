//! Snapshots as files: those that are damaged, or of another machine, are refused with the reason; whatever ends a snapshot
//! early, the one before is whole; and the machine answers while one is written.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use dimmer::ctl::client::Method;
use dimmer_images::Kernel;
use dimmer_lab::vm::{Setup, TestVm, VmError};
use serde_json::{Value, json};

use crate::patience::wait_until;
use crate::snapshot::{place, restore, setup};
use crate::{GIB, MIB, Outcome};

crate::tests!("snapshot_files":
    what_is_damaged_is_refused,
    what_does_not_go_with_it_is_refused,
    memory_of_every_kind,
    the_one_before_outlives_a_kill,
    a_machine_that_answers_meanwhile,
    a_machine_that_is_ended_meanwhile,
    what_cannot_be_snapshot,
);

/// What `dimmer run` says when it refuses `place`: status 2 and a message.
fn refusal(place: &Path, more: &str) -> Result<String, Box<dyn std::error::Error>> {
    match TestVm::restore(place, more) {
        // Its API is there before it knows.
        Ok(mut vm) => match vm.rest.ask(Method::GET, "/vm.info", None) {
            Ok(_) => Err("it was restored".into()),
            Err(_) => match vm.wait()?.code() {
                Some(2) => Ok(vm.log()),
                other => Err(format!("it ended with {other:?}: {}", vm.log()).into()),
            },
        },
        Err(VmError::Ended { status, context }) if status.code() == Some(2) => Ok(context),
        Err(error) => Err(error.into()),
    }
}

/// Fails unless `dimmer run` refuses `place`, and says `why`.
pub fn assert_refused(place: &Path, more: &str, why: &str) -> Outcome {
    let said = refusal(place, more)?;
    assert!(said.contains(why), "{why:?} is not in: {said}");
    Ok(())
}

/// A file of the snapshot, changed for as long as `act` takes.
fn with(
    place: &Path,
    name: &str,
    change: impl FnOnce(&Path) -> std::io::Result<()>,
    act: impl FnOnce() -> Outcome,
) -> Outcome {
    let (path, kept) = (place.join(name), place.join(format!("{name}.kept")));
    assert!(Command::new("cp").arg("--sparse=always").arg(&path).arg(&kept).status()?.success());
    change(&path)?;
    let result = act();
    fs::rename(&kept, &path)?;
    result
}

/// Another byte in the middle of its data.
fn flip(path: &Path) -> std::io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let at = rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(file.metadata()?.len() / 8))? + 9;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)?;
    file.write_all_at(&[byte[0] ^ 1], at)
}

fn truncate(path: &Path) -> std::io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(file.metadata()?.len() / 2)
}

fn replace(from: &'static str, to: &'static str) -> impl FnOnce(&Path) -> std::io::Result<()> {
    move |path| {
        let text = fs::read_to_string(path)?;
        assert!(text.contains(from), "{from} is not in {}", path.display());
        fs::write(path, text.replacen(from, to, 1))
    }
}

/// The state changed, and its checksum with it.
fn forged(place: &Path, change: impl FnOnce(&mut Value)) -> std::io::Result<()> {
    let mut state: Value = serde_json::from_slice(&fs::read(place.join("state.json"))?)?;
    change(&mut state["machine"]);
    let bytes = serde_json::to_vec(&state)?;
    fs::write(place.join("state.json"), &bytes)?;
    let mut manifest: Value = serde_json::from_slice(&fs::read(place.join("manifest.json"))?)?;
    let sum = dimmer::snapshot::manifest::sum_of(&bytes);
    manifest["state"] = serde_json::to_value(sum)?;
    fs::write(place.join("manifest.json"), serde_json::to_vec(&manifest)?)
}

fn what_is_damaged_is_refused(kernel: &Kernel) -> Outcome {
    let (dir, place) = place()?;
    let vm = setup(kernel).forked()?;
    vm.rest.add_dimm("d0", GIB)?;
    vm.snapshot(&place)?;
    drop(vm);
    assert_refused(dir.path(), "", "manifest.json: open: No such file")?;
    for name in ["manifest.json", "state.json", "memory"] {
        with(&place, name, |path| fs::remove_file(path), || assert_refused(&place, "", name))?;
        with(&place, name, truncate, || assert_refused(&place, "", name))?;
        let version = replace("\"version\": 3", "\"version\": 7");
        with(&place, "manifest.json", version, || assert_refused(&place, "", "in version 7 of the format"))?;
    }
    with(&place, "state.json", flip, || {
        assert_refused(&place, "", "state.json: was changed: its checksum is")
    })?;
    with(&place, "memory", flip, || {
        assert_refused(&place, "", "memory: the memory was changed: its checksum is")
    })?;
    with(
        &place,
        "manifest.json",
        |_| Ok(()),
        || {
            with(
                &place,
                "state.json",
                |_| forged(&place, |state| state["vcpus"] = json!([])),
                || assert_refused(&place, "", "there are 0 vCPUs, and not 2"),
            )
        },
    )?;
    type Change = fn(&mut Value);
    let forgeries: [(Change, &str); 7] = [
        (|state| state["spec"]["cpus"] = json!(4_000_000_000_u32), "--cpus"),
        (|state| state["memory"]["pieces"][1]["range"]["start"] = json!(1_u64 << 50), "no window holds"),
        (|state| state["memory"]["pieces"][0]["range"]["size"] = json!(u64::MAX), "memory of \"boot\""),
        (|state| state["devices"]["slots"]["slots"][0]["occupant"] = Value::Null, "do not agree"),
        (|state| state["devices"]["virtio_mem"] = json!([]), "virtio-mem"),
        (|state| state["vcpus"][0]["cpuid"][0]["registers"][0] = json!(77), "another processor"),
        (
            |state| state["vcpus"][1]["msrs"] = json!([[0x0dad_beef_u32, 1]]),
            "model-specific register 0xdadbeef",
        ),
    ];
    for (forge, why) in forgeries {
        with(
            &place,
            "manifest.json",
            |_| Ok(()),
            || with(&place, "state.json", |_| forged(&place, forge), || assert_refused(&place, "", why)),
        )?;
    }
    restore(&place, "").map(drop)
}

fn what_does_not_go_with_it_is_refused(kernel: &Kernel) -> Outcome {
    let (dir, place) = place()?;
    let own = dir.path().join("vmlinux");
    fs::copy(kernel.image(), &own)?;
    let mut vm = Setup::new(kernel).image(&own).boot()?;
    vm.snapshot(&place)?;
    assert_refused(&place, "--cpus 3", "cannot be used with")?;
    vm.shell("true")?;
    drop(vm);
    flip(&own)?;
    assert_refused(&place, "", "is not the machine's: its checksum is")?;
    fs::remove_file(&own)?;
    assert_refused(&place, "", "--kernel: Cannot open")?;
    // The same kernel is in another place, where its time of writing is another one.
    restore(&place, &format!("--kernel {}", kernel.image().display())).map(drop)
}

/// Memory that is a file's is read again; only anonymous memory can be mapped.
fn memory_of_every_kind(kernel: &Kernel) -> Outcome {
    let (dir, place) = place()?;
    let own = dir.path().join("dimmer-backing");
    let file = format!("file,path={}", own.display());
    for backing in
        ["backing=memfd", &format!("backing={file}"), "prealloc=on", "backing=anon,thp=off,reserve=on"]
    {
        let arguments = format!(
            "--memory size=512M,{backing} --memory-hotplug method=acpi,slots=2,size=2G \
             --memory-hotplug method=virtio-mem,size=2G"
        );
        let mut vm = Setup::new(kernel).arguments(&arguments).boot()?;
        vm.rest.add_dimm("d0", 256 * MIB)?;
        vm.rest.resize("vmem0", 512 * MIB)?;
        vm.shell("dd if=/dev/urandom bs=1M count=8 of=/tmp/random; md5sum /tmp/random > /tmp/sum")?;
        vm.snapshot(&place)?;
        drop(vm);
        assert_refused(
            &place,
            "--restore-memory map",
            "a snapshot can only be mapped where --memory has backing=anon",
        )?;
        let mut vm = restore(&place, "")?;
        assert_eq!(vm.shell("md5sum -c /tmp/sum")?, "/tmp/random: OK\n");
        vm.rest.resize("vmem0", GIB)?;
    }
    Ok(())
}

/// A machine with much in its memory, so that a snapshot takes its time.
fn large(kernel: &Kernel) -> Result<TestVm, Box<dyn std::error::Error>> {
    let mut vm = Setup::new(kernel).arguments("--memory size=512M").boot()?;
    vm.shell("dd if=/dev/zero bs=1M count=64 | tr '\\0' a > /tmp/it")?;
    Ok(vm)
}

/// Begins a snapshot that nobody waits for, and returns once some of it is written.
fn begin(vm: &TestVm, place: &Path) -> Outcome {
    let (api, place) = (vm.api_socket(), place.to_owned());
    let partial = place.with_file_name(".snapshot.partial").join("memory");
    std::thread::spawn(move || {
        let rest = dimmer_lab::rest::Rest::new(&api)?;
        // It may not live to see the end.
        let _ = rest.ask(Method::PUT, "/vm.snapshot", Some(&json!({ "destination": place })));
        std::io::Result::Ok(())
    });
    wait_until("some of a snapshot", || Ok(fs::metadata(&partial).is_ok_and(|file| file.len() > 0)))
}

fn the_one_before_outlives_a_kill(kernel: &Kernel) -> Outcome {
    let (dir, place) = place()?;
    let mut vm = large(kernel)?;
    vm.shell("echo one > /tmp/said")?;
    vm.snapshot(&place)?;
    vm.shell("echo two > /tmp/said")?;
    begin(&vm, &place)?;
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(vm.pid())?).ok_or("a process")?,
        rustix::process::Signal::KILL,
    )?;
    vm.wait()?;
    drop(vm);
    assert!(dir.path().join(".snapshot.partial").is_dir(), "it was killed in the middle");
    let mut vm = restore(&place, "")?;
    assert_eq!(vm.shell("cat /tmp/said")?, "one\n");
    vm.snapshot(&place)?;
    assert_eq!(fs::read_dir(dir.path())?.count(), 1, "what was left is gone");
    Ok(())
}

fn a_machine_that_answers_meanwhile(kernel: &Kernel) -> Outcome {
    let (_dir, place) = place()?;
    let mut vm = large(kernel)?;
    begin(&vm, &place)?;
    assert_eq!(vm.rest.tell(Method::GET, "/vm.info", None)?["state"], "paused");
    assert!(!place.exists(), "it answered meanwhile");
    for (method, path) in
        [(Method::PUT, "/vm.resume"), (Method::PUT, "/vm.reboot"), (Method::PUT, "/vm.power-button")]
    {
        let answer = vm.rest.ask(method, path, None)?;
        assert_eq!(answer.status, 409, "{path}: {}", answer.body);
    }
    let again = vm.rest.ask(Method::PUT, "/vm.snapshot", Some(&json!({"destination": "/elsewhere"})))?;
    assert_eq!(again.status, 409, "{}", again.body);
    wait_until("the snapshot", || Ok(place.join("manifest.json").exists()))?;
    vm.shell("true")?;
    assert_eq!(vm.rest.tell(Method::GET, "/vm.info", None)?["state"], "running");
    restore(&place, "").map(drop)
}

fn a_machine_that_is_ended_meanwhile(kernel: &Kernel) -> Outcome {
    let (dir, place) = place()?;
    let mut vm = large(kernel)?;
    begin(&vm, &place)?;
    vm.rest.tell(Method::PUT, "/vm.shutdown", None)?;
    assert_eq!(vm.wait()?.code(), Some(0));
    assert_eq!(fs::read_dir(dir.path())?.count(), 0, "nothing is left");
    Ok(())
}

fn what_cannot_be_snapshot(kernel: &Kernel) -> Outcome {
    let (dir, place) = place()?;
    let mut vm = setup(kernel).forked()?;
    let take = |vm: &TestVm, body: Value| -> Result<(u16, String), Box<dyn std::error::Error>> {
        let answer = vm.rest.ask(Method::PUT, "/vm.snapshot", Some(&body))?;
        Ok((answer.status, answer.body["detail"].as_str().unwrap_or_default().to_owned()))
    };
    let (status, detail) = take(&vm, json!({"destination": "here"}))?;
    assert!(status == 422 && detail.contains("must begin with /"), "{status} {detail}");
    let (status, detail) = take(&vm, json!({"destination": dir.path().join("no/where")}))?;
    assert!(status == 500 && detail.contains("No such file"), "{status} {detail}");
    fs::write(dir.path().join("file"), "x")?;
    let (status, detail) = take(&vm, json!({"destination": dir.path().join("file")}))?;
    assert!(status == 409 && detail.contains("is no directory"), "{status} {detail}");
    vm.shell("true")?;
    let url = format!("file://{}", place.display());
    assert_eq!(take(&vm, json!({"destination_url": url}))?.0, 204);
    // Books that do not agree are not written down.
    vm.rest.set_faults(&json!([{"device": "d0", "on": "slot", "do": "skip"}]))?;
    vm.rest.tell(
        Method::POST,
        "/memory-devices",
        Some(&json!({"id": "d0", "kind": "dimm", "size": 128 * MIB})),
    )?;
    let (status, detail) = take(&vm, json!({"destination": place}))?;
    assert!(status == 409 && detail.contains("the machine's books do not agree"), "{status} {detail}");
    vm.expect_audit_problem();
    let nested = Setup::new(kernel).arguments("--nested").boot()?;
    let (status, detail) = take(&nested, json!({"destination": place}))?;
    assert!(status == 409 && detail.contains("--nested"), "{status} {detail}");
    Ok(())
}
