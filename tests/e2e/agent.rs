//! What the guest can be asked to do, and its consoles.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use dimmer_agent::protocol::{Parameter, Status, ZoneKind};
use dimmer_agent::report::{Group, GroupKind};
use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::vm::Setup;
use serde_json::{Value, json};

use crate::layouts::assert_layout;
use crate::standard::with_dimms;
use crate::{GIB, MIB, Outcome};

crate::tests!("agent":
    blocks_go_offline_and_online,
    commands_and_their_output,
    memory_groups,
    the_lab_commands_on_a_machine,
    an_interactive_console,
);

fn blocks_go_offline_and_online(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    vm.guest().set(Parameter::AutoOnlineBlocks, "offline")?;
    vm.rest.add_dimm("d0", GIB)?;
    let boot = promised::BOOT;
    assert_layout(&mut vm, &format!("{boot}, 48-55 offline:Movable/Normal"))?;

    // One kernel block makes kernel memory of what is left of its DIMM.
    let online = vm.guest().online(&"50".parse()?, Some(ZoneKind::Kernel))?;
    assert!(online.iter().all(|block| block.error.is_none()), "{online:?}");
    assert_layout(
        &mut vm,
        &format!("{boot}, 48-49 offline:Normal/Movable, 50 Normal, 51-55 offline:Normal/Movable"),
    )?;
    let offline = vm.guest().offline(&"50".parse()?)?;
    assert!(offline.iter().all(|block| block.error.is_none()), "{offline:?}");
    assert_layout(&mut vm, &format!("{boot}, 48-55 offline:Movable/Normal"))?;

    let refused = vm.guest().offline(&"0".parse()?)?;
    assert_eq!(refused[0].error.as_deref(), Some("EINVAL"), "block 0 has no single zone");
    let wrong = vm.guest().set(Parameter::OnlinePolicy, "no-such-policy");
    assert!(wrong.is_err_and(|error| error.to_string().contains("EINVAL")));
    Ok(())
}

fn commands_and_their_output(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    let command = ["/bin/sh", "-c", "cat; echo error >&2; exit 7"];
    let executed = vm.guest().exec(&command, b"\x00\xff in")?;
    assert_eq!(executed.status, Status::Code(7));
    assert_eq!((&*executed.stdout.0, &*executed.stderr.0), (&b"\x00\xff in"[..], &b"error\n"[..]));
    let megabytes = vm.shell("head -c 3000000 /dev/zero | tr '\\0' x")?;
    assert_eq!(megabytes.len(), 3_000_000);
    let log = vm.guest().kernel_log(0)?;
    assert!(log.records[0].text.starts_with("Linux version"), "{:?}", log.records[0]);
    Ok(())
}

/// Runs `dimmer-lab` as a user does: `before`, then `socket`, then `after`.
fn lab(before: &[&str], socket: &[&str], after: &[&str]) -> io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_dimmer-lab")).args(before).args(socket).args(after).output()
}

/// What the kernel's own structures say: a DIMM's group is static, a virtio-mem device's dynamic, and boot
/// memory has none.
fn memory_groups(kernel: &Kernel) -> Outcome {
    const BLOCK: u64 = 32768; // pages
    let mut vm = Setup::new(kernel)
        .arguments(promised::MACHINE)
        .arguments("--memory-hotplug method=acpi,slots=4,size=8G --memory-hotplug method=virtio-mem,size=8G")
        .boot()?;
    vm.rest.add_dimm("d0", GIB)?;
    vm.rest.resize("vmem0", 100 << 20)?;
    let mut layout = vm.settled()?;
    vm.guest().add_groups(&mut layout)?;
    assert_eq!(layout.groups_unknown, None);
    let groups: BTreeMap<u64, Group> =
        layout.blocks.iter().filter_map(|block| Some((block.index, block.group.clone()?))).collect();
    assert_eq!(groups.keys().copied().collect::<Vec<_>>(), [48, 49, 50, 51, 52, 53, 54, 55, 112]);
    let of_dimm = &groups[&48];
    assert_eq!(
        (of_dimm.kind, of_dimm.max_pages, of_dimm.unit_pages),
        (GroupKind::Static, Some(8 * BLOCK), None)
    );
    assert_eq!((of_dimm.present_kernel, of_dimm.present_movable), (0, 8 * BLOCK));
    assert!((49..56).all(|index| groups[&index] == *of_dimm), "{groups:?}");
    // A part of a block counts as a block.
    let of_virtio_mem = &groups[&112];
    assert_eq!((of_virtio_mem.kind, of_virtio_mem.unit_pages), (GroupKind::Dynamic, Some(BLOCK)));
    assert_eq!((of_virtio_mem.present_kernel, of_virtio_mem.present_movable), (0, BLOCK));
    Ok(())
}

/// `dimmer-lab layout` and `dimmer-lab guest`, as a user runs them.
fn the_lab_commands_on_a_machine(kernel: &Kernel) -> Outcome {
    let vm = with_dimms(kernel)?;
    let agent = ["--agent-socket", vm.agent_socket().to_str().ok_or("a path in UTF-8")?];
    let layout = lab(&["layout", "--settled"], &agent, &[])?;
    let text = String::from_utf8(layout.stdout)?;
    let line = "32-47  online  Normal  node 0";
    assert!(text.lines().any(|seen| seen.trim_end() == line), "{text}");
    let layout: Value = serde_json::from_slice(&lab(&["layout", "--json"], &agent, &[])?.stdout)?;
    assert_eq!(layout["kernel"], kernel.release);
    assert_eq!(layout["blocks"].as_array().map(Vec::len), Some(32));

    let output = lab(&["guest"], &agent, &["exec", "--", "sh", "-c", "echo out; exit 3"])?;
    assert_eq!((output.status.code(), &*output.stdout), (Some(3), &b"out\n"[..]));
    let refused = lab(&["guest"], &agent, &["offline", "0"])?;
    assert_eq!(refused.status.code(), Some(1), "the guest refused");
    let wrong = lab(&["guest"], &agent, &["offline", "zero"])?;
    assert_eq!(wrong.status.code(), Some(2), "bad usage");

    vm.rest.add_dimm("d0", GIB)?;
    // Linux adds whole blocks only, and reports this one as done nevertheless.
    vm.rest.add_dimm_with(json!({"id": "odd", "size": 192 * MIB, "unaligned": true}))?;
    let api_socket = vm.api_socket();
    let api = ["--api-socket", api_socket.to_str().ok_or("a path in UTF-8")?];
    let layout = lab(&["layout", "--settled"], &agent, &api)?;
    let (text, doubts) = (String::from_utf8(layout.stdout)?, String::from_utf8(layout.stderr)?);
    assert!(text.lines().any(|seen| seen == "48-55  online  Movable  node 0  static d0"), "{text}");
    assert_eq!(doubts, "dimmer-lab: odd has 192 MiB plugged, but the guest shows no block of it\n");
    Ok(())
}

fn an_interactive_console(kernel: &Kernel) -> Outcome {
    let dir = tempfile::tempdir()?;
    let socket = dir.path().join("serial");
    let _vm = Setup::new(kernel).serial(&format!("socket={}", socket.display())).boot()?;
    let mut console = UnixStream::connect(&socket)?;
    console.set_read_timeout(Some(Duration::from_secs(1)))?;
    // Longer than the port's FIFO, so that input has to wait for the guest.
    let padding = "x".repeat(200);
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut heard = String::new();
    while !heard.contains("seen:42") {
        assert!(Instant::now() < deadline, "the console said: {heard}");
        console.write_all(format!("\necho {padding} | wc -c; echo seen:$((6*7))\n").as_bytes())?;
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = console.read(&mut buffer) {
            heard.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    }
    assert!(heard.lines().any(|line| line.trim() == "201"), "the console said: {heard}");
    Ok(())
}
