//! Snapshots that are differences to others: all of a guest comes back, whatever was plugged, written and reset in between, and
//! a chain that is merged is what a whole snapshot of that moment is.

use std::error::Error;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use dimmer::ctl::client::Method;
use dimmer::snapshot::{Manifest, merge};
use dimmer_images::Kernel;
use dimmer_lab::vm::{Setup, TestVm, dimmer};
use serde_json::{Value, json};

use crate::hugetlb::Pool;
use crate::layouts::assert_layout;
use crate::snapshot::{MOVABLE, assert_at_work, restore, setup, start_work};
use crate::{GIB, MIB, Outcome};

crate::tests!("snapshot_diff":
    a_chain_while_memory_comes_and_goes,
    tracking_goes_on_behind_a_restore_and_a_reset,
    memory_of_every_kind_has_differences,
    what_no_difference_can_be_had_of,
);

/// A directory for snapshots.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Result<Self, Box<dyn Error>> {
        Ok(Self(tempfile::Builder::new().prefix("dimmer-snapshot-").tempdir()?))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn manifest(&self, name: &str) -> Result<Manifest, Box<dyn Error>> {
        Ok(Manifest::parse(&fs::read(self.at(name).join("manifest.json"))?)?)
    }

    /// Bytes that a snapshot's memory takes on disk.
    fn taken(&self, name: &str) -> Result<u64, Box<dyn Error>> {
        Ok(fs::metadata(self.at(name).join("memory"))?.blocks() * 512)
    }

    fn snapshot(&self, vm: &TestVm, name: &str, more: Value) -> Outcome {
        let mut body = more;
        body["destination"] = json!(self.at(name));
        vm.rest.tell(Method::PUT, "/vm.snapshot", Some(&body))?;
        Ok(())
    }

    fn difference(&self, vm: &TestVm, name: &str, base: &str) -> Outcome {
        self.snapshot(vm, name, json!({"base": self.at(base)}))
    }

    /// A difference of a machine that stands still meanwhile, which is merged with its chain, has the very memory that a whole
    /// snapshot of that moment has.
    fn assert_complete(&self, vm: &TestVm, name: &str, base: &str) -> Outcome {
        vm.rest.tell(Method::PUT, "/vm.pause", None)?;
        self.difference(vm, name, base)?;
        self.snapshot(vm, "whole", json!({}))?;
        vm.rest.tell(Method::PUT, "/vm.resume", None)?;
        merge(&self.at(name), &self.at("merged"), None)?;
        assert_eq!(self.manifest("merged")?.memory, self.manifest("whole")?.memory, "{name}");
        assert_eq!(self.manifest("merged")?.id, self.manifest(name)?.id);
        Ok(())
    }
}

/// A file of 8 MiB, and its checksum.
fn write(vm: &mut TestVm, name: &str) -> Outcome {
    vm.shell(&format!(
        "dd if=/dev/urandom bs=1M count=8 of=/tmp/{name} && md5sum /tmp/{name} > /tmp/{name}.sum"
    ))?;
    Ok(())
}

/// That these files are there and whole, and that one of another name is not there yet.
fn assert_files(vm: &mut TestVm, names: &[&str], not_yet: Option<&str>) -> Outcome {
    for name in names {
        assert_eq!(vm.shell(&format!("md5sum -c /tmp/{name}.sum"))?, format!("/tmp/{name}: OK\n"));
    }
    if let Some(name) = not_yet {
        assert_eq!(vm.shell(&format!("ls /tmp | grep -c ^{name} || true"))?, "0\n");
    }
    Ok(())
}

fn a_chain_while_memory_comes_and_goes(kernel: &Kernel) -> Outcome {
    const FIRST: &str = "0 none, 1-3 DMA32, 32-39 Movable";
    const SECOND: &str = "0 none, 1-3 DMA32, 32-39 Movable, 64-71 Movable";
    const THIRD: &str = "0 none, 1-3 DMA32, 32-35 Movable, 64-67 Movable";
    let place = Place::new()?;
    let mut vm = setup(kernel).forked()?;
    start_work(&mut vm)?;
    vm.rest.add_dimm("d0", GIB)?;
    write(&mut vm, "one")?;
    place.snapshot(&vm, "a", json!({"track": true}))?;
    assert_eq!(vm.rest.tell(Method::GET, "/vm.info", None)?["tracked_since"], json!(place.at("a")));
    vm.rest.resize("vmem0", GIB)?;
    write(&mut vm, "two")?;
    assert_at_work(&mut vm)?;
    place.difference(&vm, "b", "a")?;
    vm.rest.resize("vmem0", 512 * MIB)?;
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    vm.rest.add_dimm("d1", 512 * MIB)?;
    write(&mut vm, "three")?;
    assert_layout(&mut vm, THIRD)?;
    place.assert_complete(&vm, "c", "b")?;
    drop(vm);
    let taken = [place.taken("a")?, place.taken("b")?, place.taken("c")?];
    assert!(taken[1..].iter().all(|difference| *difference < taken[0]), "{taken:?}");
    let all = &["one", "two", "three"][..];
    let table = [
        ("a", "copy", &all[..1], Some("two"), FIRST),
        ("b", "map", &all[..2], Some("three"), SECOND),
        ("c", "copy", all, None, THIRD),
        ("c", "map", all, None, THIRD),
        ("merged", "copy", all, None, THIRD),
    ];
    for (name, how, files, not_yet, layout) in table {
        let mut vm = restore(&place.at(name), &format!("--restore-memory {how}"))?;
        assert_files(&mut vm, files, not_yet)?;
        assert_at_work(&mut vm)?;
        assert_layout(&mut vm, layout)?;
        vm.rest.resize("vmem0", 2 * GIB)?;
        assert!(vm.rest.audit()?.ok);
    }
    Ok(())
}

fn tracking_goes_on_behind_a_restore_and_a_reset(kernel: &Kernel) -> Outcome {
    let place = Place::new()?;
    let mut vm = setup(kernel).forked()?;
    vm.rest.resize("vmem0", GIB)?;
    write(&mut vm, "one")?;
    vm.snapshot(&place.at("a"))?;
    drop(vm);
    // The last one stays.
    let mut vm = None;
    for how in ["copy", "map"] {
        let vm = vm.insert(restore(&place.at("a"), &format!("--track --restore-memory {how}"))?);
        write(vm, "two")?;
        vm.rest.resize("vmem0", 128 * MIB)?;
        vm.rest.resize("vmem0", 384 * MIB)?;
        place.assert_complete(vm, "b", "a")?;
    }
    let mut vm = vm.ok_or("a machine")?;
    vm.guest().reboot()?;
    vm.wait_for_resets(1)?;
    vm.connect()?;
    vm.rest.resize("vmem0", 384 * MIB)?;
    write(&mut vm, "three")?;
    place.assert_complete(&vm, "c", "b")?;
    write(&mut vm, "four")?;
    place.assert_complete(&vm, "d", "c")?;
    drop(vm);
    let mut vm = restore(&place.at("d"), "--restore-memory map")?;
    assert_files(&mut vm, &["three", "four"], Some("one"))?;
    // One that is a difference to `a` alone is the same.
    merge(&place.at("d"), &place.at("d"), Some(&place.at("a")))?;
    let mut vm = restore(&place.at("d"), "")?;
    assert_files(&mut vm, &["three", "four"], Some("one"))
}

/// Huge pages are logged by small ones, and what is in a file may have holes.
fn memory_of_every_kind_has_differences(kernel: &Kernel) -> Outcome {
    let pool = Pool::new(2 * MIB)?;
    pool.resize(128 + 128)?;
    for backing in ["backing=hugetlb", "backing=memfd", "prealloc=on"] {
        let place = Place::new()?;
        let arguments = format!(
            "--memory size=256M,{backing} --memory-hotplug method=virtio-mem,size=2G,block=2M,slot=128M \
             --memory-hotplug method=acpi,slots=2,size=2G"
        );
        let mut vm = Setup::new(kernel).arguments(&arguments).cmdline(MOVABLE).boot()?;
        vm.rest.resize("vmem0", 64 * MIB)?;
        place.snapshot(&vm, "a", json!({"track": true}))?;
        // A slot in part grows, and another one comes.
        vm.rest.resize("vmem0", 128 * MIB)?;
        write(&mut vm, "one")?;
        vm.rest.add_dimm("d0", 128 * MIB)?;
        place.assert_complete(&vm, "b", "a")?;
        write(&mut vm, "two")?;
        place.assert_complete(&vm, "c", "b")?;
        let (first, second) = (place.taken("a")?, place.taken("c")?);
        assert!(second * 2 < first, "{backing}: {second} of {first}");
        drop(vm);
        let mut vm = restore(&place.at("c"), "")?;
        assert_files(&mut vm, &["one", "two"], None)?;
    }
    Ok(())
}

/// The status and the words of a snapshot that is refused.
fn refused(vm: &TestVm, body: Value) -> Result<(u16, String), Box<dyn Error>> {
    let answer = vm.rest.ask(Method::PUT, "/vm.snapshot", Some(&body))?;
    Ok((answer.status, answer.body["detail"].as_str().unwrap_or_default().to_owned()))
}

fn assert_refused(vm: &TestVm, body: Value, status: u16, why: &str) -> Outcome {
    let (said, detail) = refused(vm, body)?;
    assert!(said == status && detail.contains(why), "{said} {detail}");
    Ok(())
}

fn what_no_difference_can_be_had_of(kernel: &Kernel) -> Outcome {
    let place = Place::new()?;
    let at = |name: &str| place.at(name);
    let mut vm = setup(kernel).forked()?;
    let difference = |name: &str, base: &Path| json!({"destination": at(name), "base": base});
    place.snapshot(&vm, "a", json!({}))?;
    assert_refused(&vm, difference("b", &at("a")), 409, "what is written is not tracked")?;
    assert_refused(&vm, difference("b", Path::new("a")), 422, "must begin with /")?;
    place.snapshot(&vm, "b", json!({"track": true}))?;
    assert_refused(
        &vm,
        difference("c", &at("a")),
        409,
        "is not the snapshot since which writes are tracked",
    )?;
    assert_refused(&vm, difference("c", &at("nowhere")), 409, "No such file")?;
    assert_refused(&vm, difference("b", &at("b")), 409, "is what the new snapshot is a difference to")?;
    // One that fails loses nothing of what was written.
    write(&mut vm, "one")?;
    assert_refused(&vm, difference("no/where", &at("b")), 500, "No such file")?;
    place.assert_complete(&vm, "c", "b")?;
    assert_refused(&vm, difference("d", &at("b")), 409, "that was written to")?;
    place.snapshot(&vm, "d", json!({"base": at("c"), "track": false}))?;
    assert_eq!(vm.rest.tell(Method::GET, "/vm.info", None)?["tracked_since"], Value::Null);
    assert_refused(&vm, difference("e", &at("d")), 409, "what is written is not tracked")?;
    drop(vm);
    let run = |words: &[&str]| -> Result<(Option<i32>, String), Box<dyn Error>> {
        let out = dimmer().current_dir(place.0.path()).args(words).output()?;
        Ok((out.status.code(), String::from_utf8(out.stderr)?))
    };
    let (status, said) = run(&["merge", "d", "c"])?;
    assert!(status == Some(2) && said.contains("is what the new snapshot is a difference to"), "{said}");
    assert_eq!(run(&["merge", "d", "e"])?, (Some(0), String::new()));
    fs::remove_dir_all(at("b"))?;
    let (status, said) = run(&["merge", "d", "f"])?;
    assert!(status == Some(2) && said.contains("b/manifest.json: open: No such file"), "{said}");
    let mut vm = restore(&at("e"), "")?;
    assert_files(&mut vm, &["one"], None)
}
