//! Answers of a virtio-mem device that its driver did not hope for.

use dimmer::cli::FaultArg;

use super::*;

fn with_fault(fault: &str) -> Linux {
    let mut linux = s4(AUTO);
    let region = 6 * GIB..14 * GIB;
    linux.probe_virtio_mem("v", DeviceSpec { region, block_size: 2 * MIB, node: 0 });
    linux.resize_virtio_mem("v", 512 * MIB, 8 * GIB);
    let FaultArg(fault) = format!("device=v,{fault}").parse().unwrap();
    linux.faults.set(vec![fault]);
    linux
}

/// Plugged MiB after a request for 1 GiB or nothing, and after the same request once more; and the requests for
/// these.
fn asked(linux: &mut Linux, size: u64) -> (u64, u64, usize) {
    let before = linux.virtio_mem["v"].requests.len();
    let mut ask = || {
        linux.resize_virtio_mem("v", size, 8 * GIB);
        linux.virtio_mem["v"].plugged() / MIB
    };
    let (first, second) = (ask(), ask());
    (first, second, linux.virtio_mem["v"].requests.len() - before)
}

#[test]
fn each_answer_to_a_plug_has_its_end() {
    for (fault, expected) in [
        ("on=plug,do=nack,times=3", (1024, 1024, 4)),
        ("on=plug,do=busy,nth=3", (768, 1024, 4)),
        ("on=plug,do=error,nth=3", (768, 768, 2)),
        ("on=interrupt,do=lose", (512, 1024, 4)),
    ] {
        assert_eq!(asked(&mut with_fault(fault), GIB), expected, "{fault}");
    }
}

#[test]
fn each_answer_to_an_unplug_has_its_end() {
    for (fault, expected) in [
        ("on=unplug,do=nack", (512, 0, 4)),
        ("on=unplug,do=busy", (512, 0, 4)),
        // The block that went before makes the driver look again.
        ("on=unplug,do=busy,nth=2", (0, 0, 4)),
        ("on=unplug,do=error", (512, 512, 0)),
    ] {
        let mut linux = with_fault(fault);
        assert_eq!(asked(&mut linux, 0), expected, "{fault}");
        assert_eq!(linux.memory.blocks().range(48..).count() as u64 * 128, expected.1);
    }
}
