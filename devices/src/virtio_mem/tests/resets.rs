//! What outlives a reset of the device, and what a reset of the machine.

use super::*;

#[test]
fn a_reset_of_the_device_keeps_its_blocks() {
    let mut machine = Machine::requesting(GIB);
    machine.plug(0, GIB);
    let before = machine.status();
    machine.driver.start(FEATURES);
    assert_eq!((machine.status(), machine.backed()), (before, vec![at(0, GIB)]));
    assert_eq!(machine.send(REQUEST_UNPLUG_ALL, 0, 0), ACK);
    assert_eq!(machine.plug(0, GIB), ACK);
}

#[test]
fn a_system_reset_unplugs_all_and_asks_again() {
    let mut machine = Machine::requesting(GIB);
    machine.plug(0, GIB);
    machine.events.taken();
    machine.transport().system_reset();
    let status = machine.status();
    assert_eq!((status.plugged_size, status.requested_size, status.state), (0, GIB, State::Plugging));
    assert_eq!(machine.backed(), []);
    assert_eq!(machine.events.taken(), ["progress vmem0 0x0"]);
    machine.driver.start(FEATURES);
    machine.plug(0, GIB);
    assert_eq!(machine.events.taken(), ["progress vmem0 0x40000000", "finished vmem0 done"]);
}

#[test]
fn what_is_usable_shrinks_with_a_system_reset() {
    let mut machine = Machine::requesting(4 * GIB);
    machine.plug(0, 4 * GIB);
    assert_eq!(machine.transport().request(0).unwrap().usable_size, 6 * GIB);
    machine.transport().system_reset();
    assert_eq!(machine.status().usable_size, 0);
    assert_eq!(machine.events.taken().last().unwrap(), "finished vmem0 done");
}

#[test]
fn blocks_that_a_system_reset_cannot_take_back_wait_for_the_next_driver() {
    let mut machine = Machine::requesting(6 * GIB);
    let stays = at(5 * GIB, 8 * MIB);
    assert_eq!(machine.plug(0, GIB), ACK);
    assert_eq!(machine.plug(5 * GIB, 8 * MIB), ACK);
    assert_eq!(machine.plug(6 * GIB, BLOCK), ACK);
    machine.transport().request(MIB * 64).unwrap();
    machine.host.fail_when(move |call| call == Call::Unback(stays));
    machine.transport().system_reset();
    assert_eq!(machine.backed(), [stays]);
    assert_eq!(machine.status().usable_size, 5 * GIB + 8 * MIB, "what is plugged is usable");
    machine.driver.start(FEATURES);
    assert_eq!(machine.send(REQUEST_UNPLUG_ALL, 0, 0), BUSY);
    machine.host.recover();
    assert_eq!(machine.send(REQUEST_UNPLUG_ALL, 0, 0), ACK);
    assert_eq!((machine.backed(), machine.status().usable_size), (vec![], 2 * GIB));
    assert_eq!(machine.plug(0, 64 * MIB), ACK);
}
