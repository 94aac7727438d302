//! What is typed, and what it means or why it is wrong.

use clap::{CommandFactory, Parser};
use dimmer_devices::placement::Placement;
use proptest::prelude::*;

mod bad_values;
mod devices;
mod restore;

use super::{Cli, Command, RunArgs};
use crate::spec::{
    Backing, CpuVendor, MachineSpec, NodeSpec, PerformanceSpec, SerialSpec, VirtioMemSpec, WindowSpec,
};
use crate::units::{GIB, MIB};

fn run_args(flags: &[&str]) -> Result<RunArgs, clap::Error> {
    let words = ["dimmer", "run", "--kernel", "bzImage"].iter().chain(flags);
    match Cli::try_parse_from(words)?.command {
        Command::Run(run) => Ok(*run),
        other => panic!("`run` is not {other:?}"),
    }
}

fn spec(flags: &[&str]) -> MachineSpec {
    run_args(flags).expect("valid usage").into_spec().expect("a valid machine")
}

/// The first line of what the user gets to see.
fn complaint(flags: &[&str]) -> String {
    match run_args(flags) {
        Ok(args) => args.into_spec().expect_err("an invalid machine").to_string(),
        Err(error) => {
            assert_eq!(error.exit_code(), 2);
            error.to_string().lines().next().expect("a message").to_owned()
        }
    }
}

/// A complaint about the value of a flag as clap puts it.
fn typed(flag: &str, value: &str, what: &str) -> String {
    format!("error: invalid value '{value}' for '{flag} <KEY=VALUE,...>': {what}")
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn a_kernel_alone_makes_a_machine() {
    let spec = spec(&[]);
    assert_eq!(spec.kernel, std::path::Path::new("bzImage"));
    assert_eq!(spec.cmdline, super::DEFAULT_CMDLINE);
    assert_eq!((spec.cpus, spec.memory.size, spec.memory.low), (1, GIB, 2 * GIB));
    assert_eq!((spec.memory.backing, spec.memory.prealloc, spec.memory.thp), (Backing::Anon, false, true));
    assert_eq!(spec.serial, SerialSpec::Stdio);
    assert_eq!((spec.numa, spec.windows, spec.initramfs, spec.api_socket), (vec![], vec![], None, None));
}

#[test]
fn qmp_is_no_part_of_the_machine() {
    let with = run_args(&["--qmp", "/run/vm.qmp"]).expect("valid usage");
    assert_eq!(with.qmp.as_deref(), Some(std::path::Path::new("/run/vm.qmp")));
    assert_eq!(with.into_spec().expect("a valid machine"), spec(&[]));
    assert!(Cli::try_parse_from(["dimmer", "run", "--restore", "snap", "--qmp", "q"]).is_ok());
}

#[test]
fn every_flag_reaches_the_machine() {
    let spec = spec(&[
        "--initramfs",
        "initrd",
        "--cmdline",
        "-quiet console=hvc0",
        "--cpus",
        "4",
        "--memory",
        "size=4G,low=3G,high=62G,backing=memfd,prealloc=on,thp=off,reserve=on",
        "--cpu-vendor",
        "intel",
        "--numa",
        "id=1,cpus=3,memory=1G,latency=250,bandwidth=6553400",
        "--numa",
        "id=0,cpus=0-1:2,memory=3G,distance=1@30,host=0:2",
        "--memory-hotplug",
        "method=acpi,slots=16,size=64G,align=2G",
        "--memory-hotplug",
        "method=virtio-mem,size=32G",
        "--memory-hotplug",
        "method=virtio-mem,size=8G,id=vmem0,block=4M,slot=64M,node=1,requested=1G,start=1T,legacy=on",
        "--dimm",
        "id=d0,size=4G",
        "--dimm",
        "id=d1,size=4G,ranges=1G~512M+3G,order=descending,node=1,unaligned=on,start=6G,align=1G",
        "--firmware-range",
        "kind=pmem,size=192M",
        "--firmware-range",
        "kind=reserved,size=64M,start=0x100000000000",
        "--firmware-range",
        "kind=soft-reserved,size=1G,node=1",
        "--fault",
        "device=vmem0,on=plug,nth=2,times=3,do=delay,ms=500",
        "--api-socket",
        "api",
        "--agent-socket",
        "agent",
        "--serial",
        "file=log",
    ]);
    let node = |id, cpus, memory, distances, host_nodes| {
        let performance = (id == 1).then_some(PerformanceSpec { latency: 250, bandwidth: 6_553_400 });
        NodeSpec { id, cpus, memory, distances, host_nodes, performance }
    };
    assert_eq!(spec.initramfs.as_deref(), Some("initrd".as_ref()));
    assert_eq!((spec.cmdline.as_str(), spec.cpus), ("-quiet console=hvc0", 4));
    assert_eq!((spec.memory.size, spec.memory.low, spec.memory.high), (4 * GIB, 3 * GIB, 62 * GIB));
    assert_eq!((spec.memory.reserve, spec.cpu_vendor), (true, Some(CpuVendor::Intel)));
    assert_eq!((&spec.memory.backing, spec.memory.prealloc), (&Backing::Memfd, true));
    assert!(!spec.memory.thp);
    assert_eq!(
        spec.numa,
        [node(0, vec![0, 1, 2], 3 * GIB, vec![(1, 30)], vec![0, 2]), node(1, vec![3], GIB, vec![], vec![])],
        "in ascending order"
    );
    let device = |id: &str, size, block_size, slot_size, node, requested, start| {
        let (id, placement) = (id.to_owned(), Placement { start, align: None });
        WindowSpec::VirtioMem(VirtioMemSpec {
            id,
            size,
            block_size,
            slot_size,
            node,
            requested,
            placement,
            present: true,
            legacy: start.is_some(),
        })
    };
    let placement = Placement { start: None, align: Some(2 * GIB) };
    assert_eq!(
        spec.windows,
        [
            WindowSpec::Acpi { slots: 16, size: 64 * GIB, placement },
            device("vmem1", 32 * GIB, 2 * MIB, 128 * MIB, 0, 0, None),
            device("vmem0", 8 * GIB, 4 * MIB, 64 * MIB, 1, GIB, Some(1 << 40)),
        ],
        "in the order given, and a default id that is free"
    );
    devices::check(&spec);
    assert_eq!(spec.api_socket.as_deref(), Some("api".as_ref()));
    assert_eq!(spec.agent_socket.as_deref(), Some("agent".as_ref()));
    assert_eq!(spec.serial, SerialSpec::File("log".into()));
}

#[test]
fn the_console_goes_where_it_is_sent() {
    let table = [
        ("stdio", SerialSpec::Stdio),
        ("null", SerialSpec::Null),
        ("file=a=b", SerialSpec::File("a=b".into())),
        ("socket=s", SerialSpec::Socket("s".into())),
    ];
    for (text, serial) in table {
        assert_eq!(spec(&["--serial", text]).serial, serial);
    }
    for text in ["", "tty", "file", "file=", "socket=", "stdio=x", "null=x"] {
        let expected = "must be stdio, null, file=PATH or socket=PATH";
        assert!(complaint(&["--serial", text]).ends_with(expected), "{text:?}");
    }
}

#[test]
fn an_impossible_machine_is_named_by_flag_key_value_and_rule() {
    let line = complaint(&["--memory", "size=4097"]);
    assert_eq!(line, "--memory: size=4097 bytes: must be a multiple of 4 KiB, at least 64 MiB");
    let line = complaint(&["--cpus", "0"]);
    assert_eq!(line, "--cpus 0: must be 1 to 254");
    let line = complaint(&["--cpus", "4,max=3"]);
    assert_eq!(line, "--cpus: max=3: must be 4 to 254");
}

#[test]
fn usage_errors_are_claps_own() {
    assert!(complaint(&["--dimms", "id=d0,size=1G"]).contains("unexpected argument '--dimms'"));
    let line = complaint(&["--cpu-vendor", "via"]);
    assert!(line.ends_with("'via' for '--cpu-vendor <VENDOR>': must be intel or amd"), "{line}");
    assert!(complaint(&["--cpus", "-1"]).contains("invalid value '-1' for '--cpus <N>'"));
    assert!(complaint(&["--cpus", "many"]).contains("invalid value 'many' for '--cpus <N>'"));
    let error = Cli::try_parse_from(["dimmer", "run"]).unwrap_err();
    assert!(error.to_string().contains("--kernel <PATH>"), "{error}");
    let error = Cli::try_parse_from(["dimmer", "ctl", "ping"]).unwrap_err();
    assert!(error.to_string().contains("--api-socket <PATH>"), "{error}");
    let words = ["dimmer", "ctl", "--api-socket", "s", "resize", "4G", "--wait", "-1"];
    let error = Cli::try_parse_from(words).unwrap_err();
    let expected = "'-1' for '--wait <SECONDS>': must be a number of seconds from 0 to 86400";
    assert!(error.to_string().contains(expected), "{error}");
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn ctl_takes_every_action() {
    let table = [
        "ping",
        "info",
        "devices",
        "events",
        "events --since 0",
        "pause",
        "resume",
        "snapshot snap",
        "fork --id child --child-api-socket api",
        "fork --id child --child-api-socket api --child-agent-socket agent --serial file=log --paused",
        "reboot",
        "power-button",
        "nmi",
        "vcpus",
        "cpus",
        "cpus 3",
        "cpus 3 --wait 5",
        "shutdown",
        "resize 4G",
        "resize --id vmem0 4G --wait 2.5",
        "dimm add --id d0 --size 1G",
        "dimm add --id d0 --size 1G --node 1 --wait 3 --json",
        "dimm add --id d0 --ranges 1G~512M+3G --descending --unaligned --notify bus-check",
        "dimm remove d0",
        "dimm remove d0 --wait 1",
        "ost d0",
        "requests vmem0",
        "audit",
        "faults",
        "faults list",
        "faults set device=d0,on=eject,do=refuse",
        "faults clear",
        "inject-mce 0x180000000 --severity ar",
    ];
    for action in table {
        let words = ["dimmer", "ctl", "--api-socket", "s"].into_iter().chain(action.split(' '));
        let parsed = Cli::try_parse_from(words);
        assert!(
            matches!(parsed.as_ref().map(|cli| &cli.command), Ok(Command::Ctl(_))),
            "{action}: {parsed:?}"
        );
    }
}

proptest! {
    #[test]
    fn no_value_makes_a_parser_panic(value in "[a-z=,@:+~0-9KMGT-]{0,40}") {
        for flag in [
            "--memory",
            "--numa",
            "--memory-hotplug",
            "--dimm",
            "--fault",
            "--firmware-range",
            "--serial",
        ] {
            let _ = run_args(&[&format!("{flag}={value}")]).map(RunArgs::into_spec);
        }
    }
}
