//! Following one change among the events.

use std::time::Duration;

use dimmer_devices::memory::{MemoryEvent, Outcome, State};

use super::{BadWait, End, Follower, parse_wait};
use crate::api::tests::fake::{device, ended};
use crate::events::{Event, MachineEvent, What};

fn follower() -> Follower<'static> {
    Follower { id: "d1", seen: 10, accepted: false }
}

/// Shows `events` to a follower of `d1`, numbered from 11 on; returns what it saw.
fn see(events: impl IntoIterator<Item = What>) -> Option<End> {
    let mut follower = follower();
    let numbered = (11..).zip(events);
    let event = |(sequence, what)| Event { sequence, timestamp: Duration::ZERO, what };
    numbered.map(event).find_map(|event| follower.see(event))
}

fn accepted(id: &str) -> What {
    What::Memory(MemoryEvent::Accepted { device: device(id, State::Plugging) })
}

fn finished(id: &str, outcome: Outcome) -> What {
    What::Memory(MemoryEvent::Finished { device: ended(id, State::Plugged, outcome, None) })
}

#[test]
fn the_first_end_behind_the_acceptance_counts() {
    let end = see([
        finished("d1", Outcome::Partial),
        accepted("d1"),
        finished("d2", Outcome::Refused),
        finished("d1", Outcome::Done),
        finished("d1", Outcome::Refused),
    ]);
    assert_eq!(end, Some(End::Device(ended("d1", State::Plugged, Outcome::Done, None))));
}

#[test]
fn other_devices_do_not_count() {
    assert_eq!(see([accepted("d2"), finished("d1", Outcome::Done)]), None);
    assert_eq!(see([accepted("d1"), finished("d11", Outcome::Done)]), None);
}

#[test]
fn a_removal_is_an_end() {
    let removed = ended("d1", State::Idle, Outcome::Done, None);
    let end = see([accepted("d1"), What::Memory(MemoryEvent::Removed { device: removed.clone() })]);
    assert_eq!(end, Some(End::Device(removed)));
}

#[test]
fn the_machines_end_is_an_end() {
    let end = see([What::Machine(MachineEvent::Ended { reason: "off".to_owned() })]);
    assert_eq!(end, Some(End::Machine("off".to_owned())));
    assert_eq!(see([What::Machine(MachineEvent::Paused), What::Machine(MachineEvent::Resetting)]), None);
}

#[test]
fn a_gap_in_the_numbers_is_noticed() {
    let event = Event { sequence: 12, timestamp: Duration::ZERO, what: accepted("d1") };
    assert_eq!(follower().see(event), Some(End::Missed));
}

#[test]
fn waits_are_seconds_of_at_most_a_day() {
    assert_eq!(parse_wait("0"), Ok(Duration::ZERO));
    assert_eq!(parse_wait("2.5"), Ok(Duration::from_millis(2500)));
    assert_eq!(parse_wait("86400"), Ok(Duration::from_secs(86_400)));
    for text in ["", "-1", "-0.1", "NaN", "inf", "86400.1", "1e300", "two", " 1"] {
        assert_eq!(parse_wait(text), Err(BadWait), "{text:?}");
    }
    assert_eq!(BadWait.to_string(), "must be a number of seconds from 0 to 86400");
}
