//! Command lines and names; machines that run are what a bench is for.

use super::*;
use crate::bench::{Cannot, GIB};

fn arguments(kind: Kind, machine: Machine) -> Result<String, Error> {
    let dir = std::env::temp_dir().join(format!("dimmer-bench-test-{}-{kind}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let files = Files {
        dir: dir.clone(),
        kernel: "/ram/vmlinux".into(),
        initramfs: "/ram/initramfs".into(),
        cmdline: "a b".into(),
    };
    let command = kind.peer().command(Command::new("program"), &machine, &files);
    std::fs::remove_dir_all(&dir)?;
    let words = command?.get_args().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>();
    Ok(words.join(" "))
}

#[test]
fn every_program_gets_the_same_kernel_and_memory() {
    let machine = Machine { window: 8 * GIB, ..Machine::default() };
    for kind in [Kind::Dimmer, Kind::Qemu, Kind::CloudHypervisor] {
        let words = arguments(kind, machine).unwrap();
        for word in ["/ram/vmlinux", "/ram/initramfs", "a b", "size=1073741824", "size=8589934592"] {
            assert!(words.contains(word), "{kind}: {words}");
        }
    }
}

#[test]
fn a_monitor_for_each_client() {
    let words = arguments(Kind::QemuMicrovm, Machine { clients: 3, ..Machine::default() }).unwrap();
    assert_eq!(words.matches("-qmp").count(), 3);
}

#[test]
fn who_has_no_such_memory_says_so() {
    let machine = Machine { slots: 16, dimms: 16 * GIB, ..Machine::default() };
    for kind in [Kind::QemuMicrovm, Kind::CloudHypervisor, Kind::Firecracker] {
        let error = arguments(kind, machine).unwrap_err();
        assert!(error.downcast_ref::<Cannot>().is_some(), "{kind}: {error}");
    }
    assert!(arguments(Kind::Dimmer, machine).unwrap().contains("slots=16"));
    assert!(arguments(Kind::Qemu, machine).unwrap().contains("slots=16"));
}

#[test]
fn peers_are_named_and_may_have_a_path() {
    let wanted: Wanted = "cloud-hypervisor=/opt/ch".parse().unwrap();
    assert_eq!(wanted, Wanted { kind: Kind::CloudHypervisor, path: Some("/opt/ch".into()) });
    assert_eq!("qemu".parse::<Wanted>().unwrap().path, None);
    for wrong in ["kvmtool", "dimmer", ""] {
        assert!(wrong.parse::<Wanted>().unwrap_err().contains("cloud-hypervisor"));
    }
    assert!("dimmer-before".parse::<Wanted>().unwrap_err().contains("dimmer-before=PATH"));
}

#[test]
fn what_never_comes_fails_as_the_question_does() {
    let mut asked = 0;
    let result = until(|| {
        asked += 1;
        if asked < 3 { Ok(false) } else { Err("gone".into()) }
    });
    assert_eq!((result.unwrap_err().to_string().as_str(), asked), ("gone", 3));
}
