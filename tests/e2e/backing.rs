//! Where the host's memory comes from, and that it goes back there: by what the process holds, and
//! what its files hold.

use std::error::Error;
use std::fs;
use std::os::unix::fs::MetadataExt;

use dimmer::ctl::client::Method;
use dimmer_images::Kernel;
use dimmer_lab::rest::Rest;
use dimmer_lab::vm::{Setup, TestVm};
use serde_json::{Value, json};

use crate::patience::wait_until;
use crate::{GIB, MIB, Outcome};

crate::tests!("backing":
    anonymous_memory,
    anonymous_memory_without_huge_pages,
    a_memfd,
    an_unnamed_file,
    a_named_file,
    preallocation,
    a_machine_that_answers_while_a_reset_populates_its_memory,
    a_machine_that_answers_while_memory_is_populated,
    reservation,
    memory_of_a_node_of_the_host,
    partly_plugged_slots_under_load,
);

/// A small machine with a virtio-mem device and slots for DIMMs; memory that is plugged is movable.
pub fn setup<'a>(kernel: &'a Kernel, memory: &str) -> Setup<'a> {
    let arguments = format!(
        "--memory size=512M,{memory} --memory-hotplug method=acpi,slots=4,size=4G \
         --memory-hotplug method=virtio-mem,id=m,size=4G"
    );
    Setup::new(kernel).arguments(&arguments)
}

/// Bytes that the files which the machine has open hold, deleted ones and memfds among them.
fn held_by_files(vm: &TestVm) -> Result<u64, Box<dyn Error>> {
    let mut bytes = 0;
    for entry in fs::read_dir(format!("/proc/{}/fd", vm.pid()))? {
        let path = entry?.path();
        // A socket's name leads nowhere, and a file may be closed by now.
        let name = fs::read_link(&path).unwrap_or_default().display().to_string();
        if name.starts_with("/memfd:dimmer-ram") || name.contains("dimmer-backing") {
            bytes += fs::metadata(&path)?.blocks() * 512;
        }
    }
    Ok(bytes)
}

/// Makes the guest use 192 MiB, for which it takes movable memory first. No more than that: each page of 4 KiB that the host
/// has to find takes an emulated host a millisecond.
pub fn use_memory(vm: &mut TestVm) -> Result<String, Box<dyn Error>> {
    Ok(vm.shell(
        "mkdir -p /fill && mount -t tmpfs -o size=200M fill /fill && dd if=/dev/zero of=/fill/it bs=1M count=192 \
         && umount /fill",
    )?)
}

/// A DIMM and a virtio-mem device come, are used, and go, twice; each time the host has the memory again,
/// by the measure that counts.
fn comes_and_goes(
    kernel: &Kernel,
    memory: &str,
    held: impl Fn(&TestVm) -> Result<u64, Box<dyn Error>>,
) -> Outcome {
    let mut vm = setup(kernel, memory).boot()?;
    for round in 1..=2 {
        vm.rest.add_dimm("d0", 128 * MIB)?;
        vm.rest.resize("m", 128 * MIB)?;
        vm.settled()?;
        use_memory(&mut vm)?;
        let before = held(&vm)?;
        assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
        vm.rest.resize("m", 0)?;
        let after = held(&vm)?;
        assert!(before >= after + 128 * MIB, "round {round}: {before} bytes in use, {after} afterwards");
        assert_eq!(vm.rest.audit()?.problems, Vec::<String>::new());
    }
    Ok(())
}

fn anonymous_memory(kernel: &Kernel) -> Outcome {
    comes_and_goes(kernel, "backing=anon,thp=on", |vm| Ok(vm.resident()?))
}

fn anonymous_memory_without_huge_pages(kernel: &Kernel) -> Outcome {
    comes_and_goes(kernel, "backing=anon,thp=off", |vm| Ok(vm.resident()?))
}

fn a_memfd(kernel: &Kernel) -> Outcome {
    comes_and_goes(kernel, "backing=memfd", held_by_files)
}

fn an_unnamed_file(kernel: &Kernel) -> Outcome {
    let dir = tempfile::Builder::new().prefix("dimmer-backing-").tempdir()?;
    comes_and_goes(kernel, &format!("backing=file,path={}", dir.path().display()), held_by_files)?;
    assert_eq!(fs::read_dir(dir.path())?.count(), 0, "the file has no name");
    Ok(())
}

fn a_named_file(kernel: &Kernel) -> Outcome {
    let dir = tempfile::Builder::new().prefix("dimmer-backing-").tempdir()?;
    let path = dir.path().join("ram");
    comes_and_goes(kernel, &format!("backing=file,path={}", path.display()), |_| {
        Ok(fs::metadata(&path)?.blocks() * 512)
    })
}

/// What the machine holds is exactly what is plugged, whether the guest has touched it or not.
fn plugged_is_held(kernel: &Kernel, memory: &str) -> Outcome {
    let vm = setup(kernel, memory).boot()?;
    let assert_held = |mib: u64| -> Outcome {
        assert_eq!(held_by_files(&vm)?, mib * MIB);
        Ok(())
    };
    assert_held(512)?;
    vm.rest.add_dimm("d0", 256 * MIB)?;
    assert_held(768)?;
    vm.rest.resize("m", 128 * MIB)?;
    assert_held(896)?;
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    assert_held(640)?;
    vm.rest.resize("m", 0)?;
    assert_held(512)
}

fn preallocation(kernel: &Kernel) -> Outcome {
    plugged_is_held(kernel, "backing=memfd,prealloc=on")
}

/// A look at the machine is answered between the reset's begin and the guest's; what changes it comes behind.
fn a_machine_that_answers_while_a_reset_populates_its_memory(kernel: &Kernel) -> Outcome {
    let mut vm = setup(kernel, "backing=memfd,prealloc=on").boot()?;
    vm.rest.add_dimm("d0", GIB)?;
    vm.settled()?;
    let socket = vm.api_socket();
    let ask = |method: Method, path: &'static str, body: Option<Value>| {
        let socket = &socket;
        move || -> Result<u16, String> {
            let rest = Rest::new(socket).map_err(|error| error.to_string())?;
            let answer = rest.ask(method, path, body.as_ref());
            answer.map(|answer| answer.status).map_err(|error| error.to_string())
        }
    };
    let mut during = Vec::new();
    std::thread::scope(|scope| -> Outcome {
        let reboot = scope.spawn(ask(Method::PUT, "/vm.reboot", None));
        let mut resize = None;
        while !reboot.is_finished() {
            let info = vm.rest.tell(Method::GET, "/vm.info", None)?;
            if info["resets"] == 1 {
                during.push(info["last_event"].as_u64().ok_or("no number")?);
                let body = json!({"requested_size": 128 * MIB});
                resize
                    .get_or_insert_with(|| scope.spawn(ask(Method::PATCH, "/memory-devices/m", Some(body))));
            }
        }
        assert_eq!(reboot.join().expect("it does not panic"), Ok(204));
        let resize = resize.ok_or("nothing was answered during the reset")?;
        assert_eq!(resize.join().expect("it does not panic"), Ok(202));
        Ok(())
    })?;
    vm.settled()?;
    let events = vm.rest.events()?;
    let seq = |kind: &str| events.iter().rfind(|event| event["event"] == kind)?["sequence"].as_u64();
    let (reset, start) = (seq("resetting").ok_or("no reset")?, seq("booting").ok_or("no start")?);
    let count = during.iter().filter(|last| (reset..start).contains(last)).count();
    assert!(count > 0, "nothing was answered between events {reset} and {start}, but at {during:?}");
    assert_eq!(vm.rest.audit()?.problems, Vec::<String>::new());
    assert_eq!(held_by_files(&vm)?, GIB + (512 + 128) * MIB);
    Ok(())
}

/// To populate a GiB takes far longer than to answer; two devices at a time come one after the other.
fn a_machine_that_answers_while_memory_is_populated(kernel: &Kernel) -> Outcome {
    let mut vm = setup(kernel, "backing=memfd,prealloc=on").boot()?;
    let socket = vm.api_socket();
    let add = |id: &'static str| {
        let socket = &socket;
        move || -> Result<u16, String> {
            let body = json!({"id": id, "kind": "dimm", "size": 768 * MIB});
            let rest = Rest::new(socket).map_err(|error| error.to_string())?;
            let answer = rest.ask(Method::POST, "/memory-devices", Some(&body));
            answer.map(|answer| answer.status).map_err(|error| error.to_string())
        }
    };
    let mut answers = 0;
    std::thread::scope(|scope| -> Outcome {
        let adding = [scope.spawn(add("d0")), scope.spawn(add("d1"))];
        while !adding.iter().all(|thread| thread.is_finished()) {
            assert_eq!(vm.rest.audit()?.problems, Vec::<String>::new());
            answers += 1;
        }
        for thread in adding {
            assert_eq!(thread.join().expect("it does not panic"), Ok(202));
        }
        Ok(())
    })?;
    assert!(answers > 5, "the machine answered {answers} times meanwhile");
    vm.settled()?;
    assert_eq!(held_by_files(&vm)?, (512 + 2 * 768) * MIB);
    let full = vm.rest.ask(
        Method::POST,
        "/memory-devices",
        Some(&json!({"id": "d0", "kind": "dimm", "size": MIB << 7})),
    )?;
    assert_eq!(
        (full.status, held_by_files(&vm)?),
        (409, (512 + 2 * 768) * MIB),
        "a refused one keeps nothing"
    );
    Ok(())
}

fn reservation(kernel: &Kernel) -> Outcome {
    plugged_is_held(kernel, "backing=memfd,reserve=on")
}

/// The nodes of the host, ascending.
fn host_nodes() -> Result<Vec<u32>, Box<dyn Error>> {
    let mut nodes = Vec::new();
    for entry in fs::read_dir("/sys/devices/system/node")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        nodes.extend(name.strip_prefix("node").and_then(|number| number.parse::<u32>().ok()));
    }
    nodes.sort_unstable();
    Ok(nodes)
}

/// Bytes of the machine's memory that is bound to `node` of the host, and bytes of those that are on it.
fn bound_to(vm: &TestVm, node: u32) -> Result<(u64, u64), Box<dyn Error>> {
    let text = fs::read_to_string(format!("/proc/{}/numa_maps", vm.pid()))?;
    let (mut bound, mut elsewhere) = (0, 0);
    for line in text.lines().filter(|line| line.contains(&format!(" bind:{node} "))) {
        for word in line.split_whitespace() {
            let pages = |name: &str| word.strip_prefix(name)?.parse::<u64>().ok();
            bound += pages(&format!("N{node}=")).unwrap_or(0) * 4096;
            elsewhere += host_nodes()?
                .iter()
                .filter(|other| **other != node)
                .filter_map(|other| pages(&format!("N{other}=")))
                .sum::<u64>();
        }
    }
    Ok((bound, elsewhere * 4096))
}

/// Waits until the machine has so much on `node`, and never any of it elsewhere. A page that the host's kernel moves at the
/// moment, as it does to make room for huge pages, is in no number (`can_gather_numa_stats`, fs/proc/task_mmu.c in Linux).
fn assert_bound(vm: &TestVm, node: u32, bytes: u64) -> Outcome {
    wait_until(&format!("{bytes} bytes on node {node}"), || {
        let (bound, elsewhere) = bound_to(vm, node)?;
        assert!(elsewhere == 0 && bound <= bytes, "{bound} bytes, and {elsewhere} elsewhere");
        Ok(bound == bytes)
    })
}

fn memory_of_a_node_of_the_host(kernel: &Kernel) -> Outcome {
    let node = *host_nodes()?.last().ok_or("the host has no nodes")?;
    let memory = "backing=anon,prealloc=on,thp=off";
    let mut vm =
        setup(kernel, memory).arguments(&format!("--numa id=0,cpus=0,memory=512M,host={node}")).boot()?;
    assert_bound(&vm, node, 512 * MIB)?;
    vm.rest.add_dimm("d0", 128 * MIB)?;
    vm.rest.resize("m", 128 * MIB)?;
    vm.settled()?;
    assert_bound(&vm, node, 768 * MIB)?;
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    assert_bound(&vm, node, 640 * MIB)
}

/// Slots are cut and joined while both vCPUs run in the memory that stays.
fn partly_plugged_slots_under_load(kernel: &Kernel) -> Outcome {
    let mut vm = setup(kernel, "backing=anon").arguments("--cpus 2").boot()?;
    vm.shell(
        "touch /tmp/rounds; for n in 1 2; do (while :; do dd if=/dev/zero of=/tmp/load$n bs=1M count=24; \
         md5sum /tmp/load$n; echo >> /tmp/rounds; done) > /dev/null 2>&1 & done",
    )?;
    let rounds = |vm: &mut TestVm| -> Result<u64, Box<dyn Error>> {
        Ok(vm.shell("wc -l < /tmp/rounds")?.trim().parse()?)
    };
    let first = rounds(&mut vm)?;
    for size in [100, 200, 152, 60, 134, 30, 128, 0] {
        vm.rest.resize("m", size * MIB)?;
        let audit = vm.rest.audit()?;
        assert_eq!(audit.problems, Vec::<String>::new(), "with {size} MiB");
        let device = audit.devices.iter().find(|device| device.id == "m").ok_or("no device m")?;
        assert_eq!(device.held, size * MIB);
        // Each run has a slot at least; a run that crosses from one 128 MiB to the next has two.
        let runs = device.ranges.len();
        assert!((runs..=runs + 1).contains(&device.slot_count), "{device:?}");
    }
    assert!(rounds(&mut vm)? > first, "there was no load");
    let requests = vm.rest.requests("m")?;
    let sub_blocks =
        |request: &&Value| request["request"] == "unplug" && request["range"]["size"] != json!(128 * MIB);
    assert!(requests.iter().any(|request| sub_blocks(&request)), "no part of a slot went");
    assert_eq!(vm.rest.ask(Method::GET, "/memory-devices/m", None)?.body["plugged_size"], 0);
    Ok(())
}
