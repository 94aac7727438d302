//! Answers of a virtio-mem device that its driver did not hope for.

use super::*;
use crate::faults::{Failure, Fault, Point};

/// A fault of device `v`.
fn fault(on: Point, failure: Failure, nth: u64, times: u64) -> Fault {
    Fault { device: "v".to_owned(), on, nth, times, failure }
}

fn with(fault: Fault) -> Linux {
    let mut linux = s4(AUTO);
    let region = 6 * GIB..14 * GIB;
    linux.probe_virtio_mem("v", DeviceSpec { region, block_size: 2 * MIB, node: 0 });
    linux.resize_virtio_mem("v", 512 * MIB, 8 * GIB);
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
        (fault(Point::Plug, Failure::Nack, 1, 3), (1024, 1024, 4)),
        (fault(Point::Plug, Failure::Busy, 3, 1), (768, 1024, 4)),
        (fault(Point::Plug, Failure::Error, 3, 1), (768, 768, 2)),
        (fault(Point::Interrupt, Failure::Lose, 1, 1), (512, 1024, 4)),
    ] {
        assert_eq!(asked(&mut with(fault.clone()), GIB), expected, "{fault:?}");
    }
}

#[test]
fn each_answer_to_an_unplug_has_its_end() {
    for (fault, expected) in [
        (fault(Point::Unplug, Failure::Nack, 1, 1), (512, 0, 4)),
        (fault(Point::Unplug, Failure::Busy, 1, 1), (512, 0, 4)),
        // The block that went before makes the driver look again.
        (fault(Point::Unplug, Failure::Busy, 2, 1), (0, 0, 4)),
        (fault(Point::Unplug, Failure::Error, 1, 1), (512, 512, 0)),
    ] {
        let mut linux = with(fault.clone());
        assert_eq!(asked(&mut linux, 0), expected, "{fault:?}");
        assert_eq!(linux.memory.blocks().range(48..).count() as u64 * 128, expected.1);
    }
}
