//! What the driver asks for, right, wrong and hostile.

use std::time::Duration;

use super::*;
use crate::virtio::testing::EVENT_INDEX;

#[test]
fn requests_that_are_wrong_get_an_error_and_change_nothing() {
    let mut machine = Machine::requesting(GIB);
    assert_eq!(machine.plug(4 * MIB, 4 * MIB), ACK);
    let before = (machine.status(), machine.host.calls());
    let usable = machine.status().usable_size;
    for (kind, address, blocks) in [
        (REQUEST_PLUG, START, 0),
        (REQUEST_PLUG, START + MIB, 1),
        (REQUEST_PLUG, START - BLOCK, 1),
        (REQUEST_PLUG, START + usable, 1),
        (REQUEST_PLUG, START + usable - BLOCK, 2),
        (REQUEST_PLUG, START + SIZE, 1),
        (REQUEST_PLUG, !(BLOCK - 1), u16::MAX),
        (REQUEST_PLUG, 0, u16::MAX),
        (REQUEST_PLUG, START + 4 * MIB, 1),
        (REQUEST_PLUG, START + 2 * MIB, 2),
        (REQUEST_UNPLUG, START, 1),
        (REQUEST_UNPLUG, START + 6 * MIB, 2),
        (REQUEST_UNPLUG, START + 4 * MIB, 0),
        (REQUEST_UNPLUG, START + 5 * MIB, 1),
        (REQUEST_UNPLUG, START + usable, 1),
        (REQUEST_STATE, START, 0),
        (REQUEST_STATE, START + MIB, 1),
        (REQUEST_STATE, START + usable, 1),
        (4, START, 1),
        (u16::MAX, START, 1),
    ] {
        assert_eq!(machine.send_raw(kind, address, blocks), ERROR, "{kind} {address:#x} {blocks}");
    }
    assert_eq!((machine.status(), machine.host.calls()), (before.0, vec![]));
    assert_eq!(before.1, [Call::Back(at(4 * MIB, 4 * MIB))]);
    assert_eq!(machine.backed(), [at(4 * MIB, 4 * MIB)]);
}

#[test]
fn plugging_beyond_the_requested_size_is_not_acknowledged() {
    let mut machine = Machine::requesting(4 * MIB);
    assert_eq!(machine.plug(0, 6 * MIB), NACK);
    assert_eq!(machine.plug(0, 4 * MIB), ACK);
    assert_eq!(machine.plug(4 * MIB, 2 * MIB), NACK);
    assert_eq!(machine.status().plugged_size, 4 * MIB);
}

#[test]
fn the_state_of_blocks_can_be_asked_for() {
    let mut machine = Machine::requesting(GIB);
    machine.plug(4 * MIB, 4 * MIB);
    for (offset, blocks, state) in
        [(4, 2, STATE_PLUGGED), (0, 2, STATE_UNPLUGGED), (2, 2, STATE_MIXED), (0, 500, STATE_MIXED)]
    {
        assert_eq!(machine.send(REQUEST_STATE, offset * MIB, blocks), Some((RESPONSE_ACK, state)));
    }
}

#[test]
fn hostile_chains_are_answered_where_that_is_possible() {
    let mut machine = Machine::requesting(GIB);
    let plug = wire(REQUEST_PLUG, START, 1);
    let far = 1 << 40;
    for (chain, answered) in [
        (vec![Buffer::Out(&plug[..23]), Buffer::In(10)], true),
        (vec![Buffer::In(10)], true),
        (vec![Buffer::In(24), Buffer::In(10)], true),
        (vec![Buffer::Raw(far, 24, false), Buffer::In(10)], true),
        (vec![Buffer::Raw(u64::MAX - 4, 24, false), Buffer::In(10)], true),
        (vec![Buffer::Out(&plug)], false),
        (vec![Buffer::Out(&plug), Buffer::In(9)], false),
        (vec![Buffer::Out(&plug), Buffer::Out(&[0; 10])], false),
        (vec![Buffer::Out(&plug), Buffer::Raw(far, 10, true)], false),
        (vec![Buffer::Out(&plug), Buffer::Raw(u64::MAX - 4, 10, true)], false),
    ] {
        let (head, _) = machine.driver.add(0, &chain);
        machine.driver.notify(0);
        let length = if answered { 10 } else { 0 };
        assert_eq!(machine.driver.used(0), [(u32::from(head), length)], "{chain:?}");
        assert_eq!(machine.status().plugged_size, 0, "{chain:?}");
    }
}

#[test]
fn requests_and_responses_may_be_scattered() {
    let mut machine = Machine::requesting(GIB);
    let plug = wire(REQUEST_PLUG, START, 1);
    let chain =
        [Buffer::Out(&plug[..5]), Buffer::Out(&plug[5..]), Buffer::In(3), Buffer::In(0), Buffer::In(50)];
    let (head, addresses) = machine.driver.add(0, &chain);
    let poison = vm_memory::GuestAddress(addresses[2]);
    {
        use vm_memory::{Bytes, GuestAddressSpace};
        machine.driver.memory.memory().write_slice(&[0xee; 53], poison).unwrap();
    }
    machine.driver.notify(0);
    assert_eq!(machine.driver.used(0), [(u32::from(head), 10)]);
    assert_eq!(machine.driver.bytes(addresses[2], 11), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xee]);
    assert_eq!(machine.status().plugged_size, BLOCK);
}

#[test]
fn a_host_that_cannot_makes_the_driver_wait_and_nothing_is_half_done() {
    let mut machine = Machine::requesting(SIZE);
    machine.host.fail_when(|call| matches!(call, Call::Back(_)));
    assert_eq!(machine.plug(GIB, 8 * MIB), BUSY);
    assert_eq!((machine.backed(), machine.events.taken()), (vec![], vec![]));
    machine.host.recover();
    assert_eq!(machine.plug(GIB, 8 * MIB), ACK);
    let before = machine.status();
    machine.host.fail_when(|call| matches!(call, Call::Unback(_)));
    assert_eq!(machine.unplug(GIB + 2 * MIB, 4 * MIB), BUSY);
    assert_eq!(machine.send(REQUEST_UNPLUG_ALL, 0, 0), BUSY);
    assert_eq!((machine.backed(), machine.status()), (vec![at(GIB, 8 * MIB)], before));
    machine.host.recover();
    assert_eq!(machine.unplug(GIB, 8 * MIB), ACK);
    assert_eq!(machine.backed(), []);
}

/// A machine with three runs of blocks, whose host does not let go of the last one.
fn with_a_run_that_stays() -> (Machine, [GuestRange; 3]) {
    let mut machine = Machine::requesting(SIZE);
    let runs = [at(0, 8 * MIB), at(16 * MIB, 2 * MIB), at(GIB, 256 * MIB)];
    for run in runs {
        assert_eq!(machine.plug(run.start - START, run.size), ACK);
    }
    machine.host.fail_when(move |call| call == Call::Unback(runs[2]));
    machine.host.calls();
    machine.events.taken();
    (machine, runs)
}

#[test]
fn unplug_all_that_fails_half_way_is_undone() {
    let (mut machine, runs) = with_a_run_that_stays();
    let before = machine.status();
    assert_eq!(machine.send(REQUEST_UNPLUG_ALL, 0, 0), BUSY);
    assert_eq!((machine.backed(), machine.status()), (runs.to_vec(), before));
    assert_eq!(machine.events.taken(), Vec::<String>::new());
    machine.host.recover();
    assert_eq!(machine.send(REQUEST_UNPLUG_ALL, 0, 0), ACK);
    assert_eq!(machine.backed(), []);
}

#[test]
fn blocks_whose_memory_does_not_come_back_are_not_plugged() {
    let (mut machine, runs) = with_a_run_that_stays();
    machine.host.fail_when(move |call| [Call::Unback(runs[2]), Call::Back(runs[0])].contains(&call));
    assert_eq!(machine.send(REQUEST_UNPLUG_ALL, 0, 0), BUSY);
    assert_eq!(machine.backed(), runs[1..]);
    assert_eq!(machine.events.taken(), ["progress vmem0 0x10200000"]);
}

#[test]
fn unplug_all_empties_the_device_and_shrinks_what_is_usable() {
    let mut machine = Machine::requesting(4 * GIB);
    machine.plug(0, GIB + 2 * MIB);
    machine.transport().request(64 * MIB).unwrap();
    assert_eq!(machine.status().usable_size, 6 * GIB);
    assert_eq!(machine.send(REQUEST_UNPLUG_ALL, 0, 0), ACK);
    let status = machine.status();
    assert_eq!((status.plugged_size, status.usable_size, status.state), (0, 2 * GIB, State::Plugging));
    assert_eq!(machine.backed(), []);
    machine.events.taken();
    assert_eq!(machine.send(REQUEST_UNPLUG_ALL, 0, 0), ACK);
    assert!(machine.events.taken().is_empty(), "there was nothing to unplug");
}

#[test]
fn a_driver_that_looks_again_sees_that_the_configuration_differs() {
    let mut machine = Machine::requesting(GIB);
    let before = machine.generation();
    assert_eq!(machine.send(REQUEST_STATE, 0, 1), Some((RESPONSE_ACK, STATE_UNPLUGGED)));
    assert_eq!(machine.generation(), before);
    assert_eq!(machine.plug(0, GIB), ACK);
    assert_eq!(machine.generation(), before + 1);
    assert_eq!(machine.driver.interrupts(), USED);
}

#[test]
fn every_request_is_recorded_with_its_answer() {
    let mut machine = Machine::requesting(4 * MIB);
    machine.plug(0, 4 * MIB);
    machine.plug(0, 4 * MIB);
    machine.plug(4 * MIB, 2 * MIB);
    machine.send(REQUEST_STATE, 2 * MIB, 2);
    machine.unplug(2 * MIB, 2 * MIB);
    machine.send(REQUEST_UNPLUG_ALL, 0, 0);
    machine.send(9, 0, 0);
    machine.send_chain(&[Buffer::Out(&wire(REQUEST_PLUG, START, 1))]);
    let expected = [
        "plug ack",
        "plug error",
        "plug nack",
        "state mixed",
        "unplug ack",
        "unplug-all ack",
        "malformed error",
        "plug none",
    ];
    assert_eq!(machine.log(), expected);
    let records = machine.transport().device().requests();
    let first = RequestRecord {
        number: 1,
        request: "plug".to_owned(),
        range: Some(at(0, 4 * MIB)),
        response: "ack".to_owned(),
    };
    assert_eq!((&records[0], records[5].range, records[7].number), (&first, None, 8));
}

#[test]
fn a_full_queue_is_worked_on_in_rounds() {
    let mut machine = Machine::requesting(GIB);
    machine.driver.start(FEATURES | EVENT_INDEX);
    for _ in 0..64 {
        machine.driver.add(0, &[Buffer::In(10)]);
    }
    machine.driver.notify(0);
    assert_eq!(machine.driver.used(0).len(), 64);
    // The device has not looked whether there is more, and will.
    assert_eq!(machine.alarms.taken(), [(Duration::ZERO, "vmem0".to_owned())]);
    machine.transport().alarm();
    assert_eq!(machine.driver.wants_notification_at(0), 64);
    assert_eq!(machine.alarms.taken(), []);
}

#[test]
fn a_driver_that_may_touch_unplugged_memory_is_taken_only_where_that_was_asked_for() {
    const OLD: u64 = FEATURES & !abi::F_UNPLUGGED_INACCESSIBLE;
    let mut strict = Machine::without_driver(config()).unwrap();
    assert!(!strict.transport().refuses_the_driver(), "no driver has come yet");
    strict.driver.negotiate(OLD);
    assert!(strict.transport().refuses_the_driver());
    strict.transport().system_reset();
    assert!(!strict.transport().refuses_the_driver(), "another kernel may boot");
    strict.driver.start(FEATURES);
    assert!(!strict.transport().refuses_the_driver());

    let mut legacy = Machine::without_driver(VirtioMemConfig { legacy: true, ..config() }).unwrap();
    legacy.driver.start(OLD);
    assert!(!legacy.transport().refuses_the_driver());
    legacy.transport().request(GIB).unwrap();
    assert_eq!((legacy.plug(0, GIB), legacy.backed()), (ACK, vec![at(0, GIB)]));
}

#[test]
fn unplugged_memory_reads_as_zeroes_and_keeps_nothing() {
    let mut unplugged = Unplugged;
    let mut data = [7; 8];
    unplugged.write(0x1000, &data);
    unplugged.read(0x1000, &mut data);
    assert_eq!(data, [0; 8]);
}
