//! `--restore`: what reaches the machine that goes on from a snapshot, and what is only for one that boots.

use clap::{CommandFactory, Parser};

use super::super::restore::BOOTS;
use super::{Cli, Command};
use crate::spec::sample::as_it_was;
use crate::spec::{Clock, RestoreSpec, RestoredMemory, SerialSpec, Source, Start};

fn start(flags: &[&str]) -> Result<Start, clap::Error> {
    let words = ["dimmer", "run"].iter().chain(flags);
    match Cli::try_parse_from(words)?.command {
        Command::Run(run) => Ok(run.into_start().expect("a valid machine")),
        other => panic!("`run` is not {other:?}"),
    }
}

fn restored(flags: &[&str]) -> RestoreSpec {
    match start(flags).expect("valid usage") {
        Start::Restore(how) => how,
        Start::Boot(spec) => panic!("{spec:?} boots"),
    }
}

/// Why this is no valid usage.
fn complaint(flags: &[&str]) -> String {
    let error = start(flags).expect_err("invalid usage");
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

#[test]
fn a_directory_alone_is_enough_and_nothing_is_changed() {
    assert_eq!(restored(&["--restore", "snap"]), as_it_was(Source::Directory("snap".into())));
    assert_eq!(restored(&["--forked", "--restore", "child"]), as_it_was(Source::Parent("child".to_owned())));
}

#[test]
fn every_flag_reaches_the_machine_that_goes_on() {
    let flags = [
        "--restore-memory",
        "map",
        "--restore-clock",
        "jump",
        "--paused",
        "--kernel",
        "bzImage",
        "--initramfs",
        "initrd",
        "--api-socket",
        "api",
        "--agent-socket",
        "agent",
        "--serial",
        "file=log",
    ];
    let table = [
        (&["--restore", "snap"][..], Source::Directory("snap".into())),
        (&["--forked", "--restore", "child"], Source::Parent("child".to_owned())),
    ];
    for (from, source) in table {
        let expected = RestoreSpec {
            source,
            memory: RestoredMemory::Map,
            clock: Clock::Jump,
            paused: true,
            track: false,
            kernel: Some("bzImage".into()),
            initramfs: Some("initrd".into()),
            api_socket: Some("api".into()),
            agent_socket: Some("agent".into()),
            serial: Some(SerialSpec::File("log".into())),
        };
        assert_eq!(restored(&[from, &flags].concat()), expected);
    }
    assert!(restored(&["--restore", "snap", "--track"]).track);
    assert!(complaint(&["--forked", "--restore", "child", "--track"]).contains("cannot be used with"));
    let words = ["--restore", "snap", "--restore-memory", "copy", "--restore-clock", "stay"];
    assert_eq!(restored(&words), as_it_was(Source::Directory("snap".into())));
}

#[test]
fn the_console_is_the_snapshots_unless_it_is_sent_elsewhere() {
    assert_eq!(restored(&["--restore", "snap"]).serial, None);
    assert_eq!(restored(&["--restore", "snap", "--serial", "stdio"]).serial, Some(SerialSpec::Stdio));
    let Start::Boot(spec) = start(&["--kernel", "bzImage"]).unwrap() else { panic!("it boots") };
    assert_eq!(spec.serial, SerialSpec::Stdio);
}

/// What says how a machine is made, which the snapshot has said.
const MADE: [&[&str]; 14] = [
    &["--cmdline", "quiet"],
    &["--cmdline", super::super::DEFAULT_CMDLINE],
    &["--cpus", "1"],
    &["--cpu-vendor", "intel"],
    &["--nested"],
    &["--memory", "size=1G"],
    &["--firmware-range", "kind=pmem,size=192M"],
    &["--numa", "id=0"],
    &["--memory-hotplug", "method=acpi,slots=1,size=1G"],
    &["--dimm", "id=d0,size=1G"],
    &["--fault", "device=d0,on=map,do=fail"],
    &["--pmem", "file=p"],
    &["--vsock", "cid=3,path=/v"],
    &["--watch-console"],
];

#[test]
fn what_the_snapshot_says_cannot_be_said_otherwise() {
    for from in [&["--restore", "snap"][..], &["--restore", "child", "--forked"]] {
        for flags in MADE {
            let text = complaint(&[from, flags].concat());
            assert!(text.contains("cannot be used with"), "{from:?} {flags:?}: {text}");
            assert!(text.contains(from[0]) && text.contains(flags[0]), "{from:?} {flags:?}: {text}");
        }
    }
}

#[test]
fn what_is_about_a_snapshot_needs_one() {
    for flags in [&["--restore-memory", "map"][..], &["--restore-clock", "jump"], &["--paused"], &["--track"]]
    {
        let text = complaint(&[&["--kernel", "bzImage"][..], flags].concat());
        assert!(text.contains("required arguments were not provided"), "{flags:?}: {text}");
        assert!(text.contains("--restore <DIR>") && !text.contains("forked"), "{flags:?}: {text}");
    }
    let text = complaint(&["--paused"]);
    assert!(text.contains("--kernel <PATH>") || text.contains("--restore <DIR>"), "{text}");
    assert!(complaint(&["--restore"]).contains("a value is required for '--restore <DIR>'"));
}

#[test]
fn words_that_are_none_are_named_with_those_that_are() {
    let text = complaint(&["--restore", "snap", "--restore-memory", "share"]);
    assert!(text.contains("'share' for '--restore-memory <copy|map>'"), "{text}");
    assert!(text.contains("`copy` or `map`"), "{text}");
    let text = complaint(&["--restore", "snap", "--restore-clock", "back"]);
    assert!(text.contains("'back' for '--restore-clock <stay|jump>'"), "{text}");
    assert!(text.contains("`stay` or `jump`"), "{text}");
}

#[test]
fn every_flag_goes_with_a_snapshot_or_is_refused() {
    let with = [
        "kernel",
        "initramfs",
        "api_socket",
        "agent_socket",
        "qmp",
        "config",
        "print_config",
        "stop_timeout",
        "serial",
        "restore",
        "restore_memory",
        "restore_clock",
        "forked",
        "paused",
        "track",
        "sandbox",
        "allow_path",
        "rlimit",
        "cgroup",
        "kvm",
        "sockets",
        "sandbox_try",
    ];
    let cli = Cli::command();
    let run = cli.find_subcommand("run").expect("it is one");
    let mut all: Vec<_> = run.get_arguments().map(|flag| flag.get_id().as_str()).collect();
    let mut known = [&BOOTS[..], &with].concat();
    all.sort_unstable();
    known.sort_unstable();
    assert_eq!(all, known, "whoever adds a flag says what it means to a machine that goes on");
}
