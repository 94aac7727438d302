//! Faults on the driver's requests and on the interrupt.

use std::time::Duration;

use super::*;
use crate::alarm::LONGEST;

#[test]
fn an_injected_answer_does_nothing_and_is_like_any_other() {
    for (word, answer) in [("nack", NACK), ("busy", BUSY), ("error", ERROR)] {
        let mut machine = Machine::requesting(GIB);
        machine.plug(0, 8 * MIB);
        let before = (machine.status(), machine.backed());
        let on = ["plug", "unplug", "unplug-all", "state"];
        let faults = on.map(|on| format!(r#"{{"on": "{on}", "do": "{word}", "nth": 2, "times": 2}}"#));
        machine.set_faults(&faults.each_ref().map(String::as_str));
        assert_eq!(machine.send(REQUEST_STATE, 0, 1), Some((RESPONSE_ACK, STATE_PLUGGED)), "the first");
        assert_eq!(machine.plug(0, 2 * MIB), ERROR, "the first");
        assert_eq!(machine.unplug(8 * MIB, 2 * MIB), ERROR, "the first");
        assert_eq!(machine.plug(8 * MIB, 2 * MIB), answer);
        assert_eq!(machine.plug(8 * MIB, 2 * MIB), answer);
        assert_eq!(machine.unplug(0, 2 * MIB), answer);
        assert_eq!(machine.send(REQUEST_STATE, 0, 1), answer);
        assert_eq!((machine.status(), machine.backed()), before);
        assert_eq!(machine.log().last().unwrap(), &format!("state {word}"));
        assert_eq!(machine.plug(8 * MIB, 2 * MIB), ACK, "the fault is over");
        assert_eq!(machine.send(REQUEST_UNPLUG_ALL, 0, 0), ACK, "the first");
        assert_eq!(machine.send(REQUEST_UNPLUG_ALL, 0, 0), answer);
    }
}

#[test]
fn requests_that_cannot_be_carried_out_are_no_occasion_for_a_fault() {
    let mut machine = Machine::requesting(GIB);
    machine.set_faults(&[r#"{"on": "plug", "do": "nack"}"#]);
    assert_eq!(machine.send(17, 0, 1), ERROR);
    assert_eq!(machine.send_chain(&[Buffer::Out(&wire(REQUEST_PLUG, START, 1))]), None);
    assert_eq!(machine.faults.list()[0].seen, 0);
    assert_eq!(machine.plug(0, 2 * MIB), NACK);
}

#[test]
fn the_requested_size_can_change_right_before_a_request() {
    let mut machine = Machine::requesting(GIB);
    machine.set_faults(&[r#"{"on": "plug", "do": "request", "size": 4194304}"#]);
    assert_eq!(machine.plug(0, 8 * MIB), NACK);
    assert_eq!(machine.driver.interrupts(), USED | CONFIG);
    assert_eq!(machine.config_u64(48), 4 * MIB);
    let superseded = "finished vmem0 refused: superseded by a request for 4 MiB";
    assert_eq!(machine.events.taken(), [superseded, "accepted vmem0"]);
    assert_eq!(machine.plug(0, 4 * MIB), ACK);
}

#[test]
fn a_size_that_cannot_be_requested_is_no_fault() {
    let mut machine = Machine::requesting(GIB);
    machine.set_faults(&[r#"{"on": "plug", "do": "request", "size": 1}"#]);
    assert_eq!(machine.plug(0, 8 * MIB), ACK);
    assert_eq!((machine.status().requested_size, machine.driver.interrupts()), (GIB, USED));
}

#[test]
fn a_delayed_request_is_carried_out_when_its_time_has_come() {
    let mut machine = Machine::requesting(GIB);
    machine.set_faults(&[r#"{"on": "plug", "do": "delay", "milliseconds": 0}"#]);
    let delayed = machine.submit(REQUEST_PLUG, 0, 4);
    let next = machine.submit(REQUEST_STATE, 0, 4);
    assert_eq!((machine.driver.used(0), machine.backed()), (vec![], vec![]));
    assert_eq!(machine.alarms.taken(), [(Duration::ZERO, "vmem0".to_owned())]);
    machine.transport().alarm();
    assert_eq!(machine.driver.used(0).len(), 2, "the queue goes on, in order");
    assert_eq!(machine.response(delayed), (RESPONSE_ACK, 0));
    assert_eq!(machine.response(next), (RESPONSE_ACK, STATE_PLUGGED));
    assert_eq!(machine.driver.interrupts(), USED);
    assert_eq!(machine.backed(), [at(0, 8 * MIB)]);
    assert_eq!(machine.log(), ["plug ack", "state plugged"]);
    assert_eq!(machine.alarms.taken(), []);
}

#[test]
fn a_delayed_request_is_looked_at_late() {
    let mut machine = Machine::requesting(GIB);
    machine.set_faults(&[r#"{"on": "plug", "do": "delay", "milliseconds": 0}"#]);
    let delayed = machine.submit(REQUEST_PLUG, 0, 4);
    machine.transport().request(0).unwrap();
    machine.transport().alarm();
    assert_eq!(machine.response(delayed), (RESPONSE_NACK, 0));
    assert_eq!(machine.backed(), []);
}

const HOUR: &str = r#"{"on": "plug", "do": "delay", "milliseconds": 3600000}"#;

#[test]
fn a_reset_drops_a_delayed_request_and_its_alarm_answers_no_other() {
    for system in [false, true] {
        let mut machine = Machine::requesting(GIB);
        machine.set_faults(&[HOUR]);
        let dropped = machine.submit(REQUEST_PLUG, 0, 4);
        assert_eq!(machine.alarms.taken(), [(Duration::from_secs(3600), "vmem0".to_owned())]);
        if system {
            machine.transport().system_reset();
        }
        machine.driver.start(FEATURES);
        machine.transport().alarm();
        assert_eq!((machine.response(dropped), machine.backed()), ((0, 0), vec![]));
        assert_eq!((machine.driver.used(0), machine.log()), (vec![], vec!["plug none".to_owned()]));
        machine.set_faults(&[HOUR]);
        machine.submit(REQUEST_PLUG, 0, 4);
        machine.transport().alarm();
        assert_eq!((machine.driver.used(0), machine.backed()), (vec![], vec![]), "it is not yet time");
    }
}

#[test]
fn a_delay_beyond_all_bounds_is_the_longest_that_there_is_and_so_is_one_that_is_restored() {
    let mut machine = Machine::requesting(GIB);
    machine.set_faults(&[r#"{"on": "plug", "do": "delay", "milliseconds": 18446744073709551615}"#]);
    machine.submit(REQUEST_PLUG, 0, 4);
    let longest = [(LONGEST, "vmem0".to_owned())];
    assert_eq!(machine.alarms.taken(), longest);
    let mut state = machine.transport().state();
    let held = state.device.held.as_mut().unwrap();
    assert!(u128::from(held.milliseconds) <= LONGEST.as_millis(), "{held:?}");
    held.milliseconds = u64::MAX;
    machine.transport().restore(&state).unwrap();
    assert_eq!(machine.alarms.taken(), longest);
    let left = machine.transport().state().device.held.unwrap().milliseconds;
    assert!(u128::from(left) <= LONGEST.as_millis(), "{left}");
    machine.transport().alarm();
    assert_eq!(machine.driver.used(0), [], "it is not yet time");
}

#[test]
fn a_queue_that_is_stopped_gets_no_answer() {
    let mut machine = Machine::requesting(GIB);
    machine.set_faults(&[r#"{"on": "plug", "do": "delay", "milliseconds": 0}"#]);
    let delayed = machine.submit(REQUEST_PLUG, 0, 4);
    machine.driver.write(0x30, 0);
    machine.driver.write(0x44, 0);
    machine.transport().alarm();
    assert_eq!((machine.response(delayed), machine.driver.used(0)), ((0, 0), vec![]));
    assert_eq!(machine.backed(), []);
}

#[test]
fn a_lost_interrupt_leaves_the_configuration_changed() {
    let mut machine = Machine::with(config());
    let before = machine.generation();
    machine.set_faults(&[r#"{"on": "interrupt", "do": "lose"}"#]);
    machine.transport().request(GIB).unwrap();
    assert_eq!((machine.generation(), machine.driver.interrupts()), (before + 1, 0));
    assert_eq!(machine.config_u64(48), GIB);
    machine.transport().request(GIB).unwrap();
    assert_eq!(machine.driver.interrupts(), CONFIG);
}

#[test]
fn where_no_driver_runs_no_interrupt_is_lost() {
    let mut machine = Machine::without_driver(config()).unwrap();
    machine.set_faults(&[r#"{"on": "interrupt", "do": "lose"}"#]);
    machine.transport().request(GIB).unwrap();
    machine.driver.start(FEATURES);
    machine.transport().request(2 * GIB).unwrap();
    assert_eq!(machine.driver.interrupts(), 0);
}
