//! What the host asks for: sizes, their progress and their end, and what can be made at all.

use super::*;

#[test]
fn the_configuration_space_is_laid_out_as_specified() {
    let mut machine = Machine::requesting(GIB);
    machine.plug(0, 4 * MIB);
    let fields = [0, 8, 16, 24, 32, 40, 48, 56].map(|offset| machine.config_u64(offset));
    assert_eq!(fields, [BLOCK, 1, START, SIZE, 2 * GIB, 4 * MIB, GIB, 0]);
}

#[test]
fn a_driver_that_may_touch_unplugged_memory_is_not_accepted() {
    let mut machine = Machine::without_driver(config()).unwrap();
    machine.driver.negotiate(VERSION_1 | F_ACPI_PXM);
    assert_eq!(machine.driver.read(0x70), 0x3);
}

#[test]
fn growing_is_done_when_the_requested_size_is_plugged() {
    let mut machine = Machine::with(config());
    let status = machine.transport().request(256 * MIB).unwrap();
    assert_eq!((status.state, status.requested_size, status.plugged_size), (State::Plugging, 256 * MIB, 0));
    assert_eq!(machine.driver.interrupts(), CONFIG);
    assert_eq!(machine.plug(0, 128 * MIB), ACK);
    assert_eq!(machine.plug(128 * MIB, 128 * MIB), ACK);
    assert_eq!(machine.status().state, State::Plugged);
    let halves = [at(0, 128 * MIB), at(128 * MIB, 128 * MIB)];
    assert_eq!(machine.host.calls(), halves.map(Call::Back));
    assert_eq!(machine.driver.interrupts(), USED, "the driver is not told of what it did itself");
    let expected =
        ["accepted vmem0", "progress vmem0 0x8000000", "progress vmem0 0x10000000", "finished vmem0 done"];
    assert_eq!(machine.events.taken(), expected);
}

#[test]
fn shrinking_gives_the_memory_back_at_once() {
    let mut machine = Machine::requesting(3 * GIB);
    assert_eq!(machine.plug(0, 3 * GIB), ACK);
    machine.host.calls();
    machine.events.taken();
    machine.transport().request(GIB).unwrap();
    assert_eq!(machine.status().state, State::Unplugging);
    let parts = [at(2 * GIB, GIB), at(2 * GIB - 128 * MIB, 128 * MIB), at(512 * MIB, GIB - 128 * MIB)];
    for part in parts {
        assert_eq!(machine.unplug(part.start - START, part.size), ACK);
    }
    assert_eq!(machine.host.calls(), parts.map(Call::Unback));
    assert_eq!(machine.backed(), [at(0, 512 * MIB), at(GIB + 384 * MIB, 512 * MIB)]);
    assert_eq!(machine.events.taken().last().unwrap(), "finished vmem0 done");
}

#[test]
fn another_request_ends_the_one_under_way() {
    let mut machine = Machine::requesting(8 * MIB);
    machine.transport().request(6 * MIB).unwrap();
    machine.plug(0, 2 * MIB);
    machine.transport().request(0).unwrap();
    machine.unplug(0, 2 * MIB);
    let expected = [
        "finished vmem0 refused: superseded by a request for 6 MiB",
        "accepted vmem0",
        "progress vmem0 0x200000",
        "finished vmem0 partial: superseded by a request for 0 bytes",
        "accepted vmem0",
        "progress vmem0 0x0",
        "finished vmem0 done",
    ];
    assert_eq!(machine.events.taken(), expected);
    assert_eq!(machine.status().state, State::Idle);
}

#[test]
fn the_same_request_again_reminds_the_driver_and_ends_nothing() {
    let mut machine = Machine::requesting(8 * MIB);
    machine.transport().request(8 * MIB).unwrap();
    assert_eq!(machine.driver.interrupts(), CONFIG);
    assert_eq!(machine.events.taken(), ["accepted vmem0"]);
    machine.plug(0, 8 * MIB);
    machine.events.taken();
    machine.driver.interrupts();
    let status = machine.transport().request(8 * MIB).unwrap();
    assert_eq!((status.state, outcome(&status)), (State::Plugged, "done".to_owned()));
    assert_eq!(machine.driver.interrupts(), CONFIG);
    assert_eq!(machine.events.taken(), ["accepted vmem0"]);
}

#[test]
fn bad_requests_of_the_host_name_what_is_wrong_and_change_nothing() {
    let mut machine = Machine::requesting(GIB);
    let before = machine.status();
    for size in [MIB, SIZE + BLOCK, u64::MAX, !(BLOCK - 1)] {
        let error = machine.transport().request(size).unwrap_err().to_string();
        assert!(error.starts_with(&format!("requested_size: {} is not a multiple", Bytes(size))), "{error}");
    }
    assert_eq!((machine.status(), machine.driver.interrupts(), machine.events.taken()), (before, 0, vec![]));
}

#[test]
fn a_device_that_cannot_be_is_not_made() {
    let region = |start, size| VirtioMemConfig { region: GuestRange::new(start, size), ..config() };
    for (config, expected) in [
        (VirtioMemConfig { block_size: 0, ..config() }, "block_size: 0 "),
        (VirtioMemConfig { block_size: 3 * MIB, ..config() }, "block_size: 3 MiB "),
        (VirtioMemConfig { block_size: MIB / 2, ..config() }, "block_size: 512 KiB "),
        (region(START, 0), "region: 0 bytes at"),
        (region(START + MIB, GIB), "region: 1 GiB at 0x200100000"),
        (region(START, GIB + MIB), "region: "),
        (region(!(GIB - 1), 2 * GIB), "region: "),
        (VirtioMemConfig { requested_size: SIZE + BLOCK, ..config() }, "requested_size: "),
        (VirtioMemConfig { requested_size: MIB, ..config() }, "requested_size: 1 MiB "),
    ] {
        let error = Machine::without_driver(config).err().unwrap().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_size_can_be_requested_before_the_driver_is_there() {
    let mut machine = Machine::without_driver(config()).unwrap();
    machine.transport().request(GIB).unwrap();
    assert!(!machine.driver.line.is_high());
    assert_eq!(machine.config_u64(48), GIB);
}

#[test]
fn what_is_usable_covers_the_request_and_ends_with_the_region() {
    for (requested, usable) in [
        (0, 0),
        (BLOCK, 2 * GIB),
        (GIB + 768 * MIB, 2 * GIB),
        (GIB + 770 * MIB, 4 * GIB),
        (4 * GIB, 6 * GIB),
        (SIZE, SIZE),
    ] {
        let mut machine = Machine::with(config());
        assert_eq!(machine.transport().request(requested).unwrap().usable_size, usable);
    }
    let machine = Machine::with(VirtioMemConfig { requested_size: GIB, ..config() });
    let status = machine.status();
    assert_eq!((status.state, status.usable_size), (State::Plugging, 2 * GIB));
}

#[test]
fn blocks_may_be_of_one_mebibyte_and_of_four_gibibytes() {
    for block_size in [MIB, 4 * GIB] {
        let region = GuestRange::new(START, 8 * GIB);
        let mut machine = Machine::with(VirtioMemConfig { block_size, region, ..config() });
        let usable = machine.transport().request(block_size).unwrap().usable_size;
        assert_eq!(usable, if block_size == MIB { 2 * GIB } else { 8 * GIB });
        assert_eq!(machine.send(REQUEST_PLUG, block_size, 1), ACK);
        assert_eq!(machine.backed(), [at(block_size, block_size)]);
        assert_eq!(machine.send(REQUEST_PLUG, 0, 1), NACK);
        assert_eq!(machine.send(REQUEST_UNPLUG, block_size, 1), ACK);
        assert_eq!(machine.backed(), []);
    }
}
