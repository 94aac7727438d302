//! What outlives a reset of the device, what a reset of the machine, and what another machine goes on with.

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

#[test]
fn a_held_request_is_answered_by_whoever_goes_on() {
    let mut machine = Machine::requesting(GIB);
    machine.set_faults(&[r#"{"on": "plug", "do": "delay", "milliseconds": 0}"#]);
    let response = machine.submit(REQUEST_PLUG, 0, 4);
    machine.moves_on(config());
    assert_eq!(machine.driver.used(0), [], "not yet");
    machine.transport().alarm();
    assert_eq!(machine.driver.used(0).len(), 1);
    assert_eq!((Some(machine.response(response)), machine.backed()), (ACK, vec![at(0, 4 * BLOCK)]));
}

#[test]
fn a_state_that_no_such_device_can_be_in_is_refused_and_changes_nothing() {
    let mut machine = Machine::requesting(GIB);
    machine.plug(0, GIB);
    let right = machine.transport().state();
    let wrong = |change: fn(&mut VirtioMemState)| {
        let mut state = right.clone();
        change(&mut state.device);
        state
    };
    for (state, what) in [
        (wrong(|state| state.requested_size = SIZE + BLOCK), "is not a multiple of the block size"),
        (wrong(|state| state.usable_size = u64::MAX), "usable_size is too large"),
        (wrong(|state| state.plugged[0].start += 1), "plugged ranges are no blocks of it"),
        (wrong(|state| state.plugged[0].size = 0), "plugged ranges are no blocks of it"),
        (wrong(|state| state.plugged[0].size = !(BLOCK - 1)), "plugged ranges are no blocks of it"),
        (wrong(|state| state.plugged.push(at(0, BLOCK))), "plugged ranges are no blocks of it"),
        (wrong(|state| state.plugged[0].start = 0), "plugged ranges are no blocks of it"),
    ] {
        let error = machine.transport().restore(&state).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
        assert_eq!(machine.transport().state(), right);
    }
    let mut queues = right.clone();
    queues.queues[0].place.descriptors = 1 << 40;
    let error = machine.transport().restore(&queues).unwrap_err().to_string();
    assert!(error.starts_with("queue 0 cannot be used at"), "{error}");
    queues.queues.clear();
    let error = machine.transport().restore(&queues).unwrap_err().to_string();
    assert_eq!(error, "there are 1 queues, and not 0");
    assert_eq!((machine.transport().state(), machine.plug(GIB, BLOCK)), (right, NACK));
}
