//! Following one change of a memory device, or of the number of processors, to its end, beside the events that are kept for a while only: a
//! guest can make so many of them that the end is gone from there before anybody looks.

use dimmer_devices::memory::{MemoryEvent, MemoryStatus};
use dimmer_devices::processors::{ProcessorEvent, ProcessorsStatus};
use tokio::sync::watch;

use super::{MachineEvent, What};

/// How a change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeEnd {
    /// It ended, and left the device like this.
    Device(MemoryStatus),
    /// It ended, and left the processors like this.
    Cpus(ProcessorsStatus),
    /// The machine ended before, for this reason.
    Machine(String),
}

/// A change that is followed. What is dropped is no longer followed.
#[derive(Debug, Clone)]
pub struct Followed(watch::Receiver<Option<ChangeEnd>>);

impl Followed {
    /// Waits for the end of the change. There is none when nothing had to change.
    pub async fn end(mut self) -> ChangeEnd {
        match self.0.wait_for(Option::is_some).await {
            Ok(end) => end.clone().expect("that was waited for"),
            Err(_) => ChangeEnd::Machine("the VMM stops".to_owned()),
        }
    }
}

/// Those who follow a change.
#[derive(Debug, Default)]
pub(super) struct Followers(Vec<Follower>);

/// What changes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The memory device of this name.
    Device(String),
    /// The number of processors.
    Cpus,
}

/// Finds one change's end among the events: the first `finished` or `removed` of its subject behind the
/// first `accepted`. What finishes before that is an earlier change that this one replaced.
#[derive(Debug)]
struct Follower {
    subject: Subject,
    accepted: bool,
    end: watch::Sender<Option<ChangeEnd>>,
}

impl Followers {
    /// One more, from the next event on.
    pub(super) fn add(&mut self, subject: Subject) -> Followed {
        self.0.retain(|follower| !follower.end.is_closed());
        let (end, receiver) = watch::channel(None);
        self.0.push(Follower { subject, accepted: false, end });
        Followed(receiver)
    }

    /// Shows them an event.
    pub(super) fn see(&mut self, what: &What) {
        self.0.retain_mut(|follower| match follower.see(what) {
            Some(end) => {
                follower.end.send_replace(Some(end));
                false
            }
            None => true,
        });
    }
}

impl Follower {
    fn see(&mut self, what: &What) -> Option<ChangeEnd> {
        match what {
            What::Machine(MachineEvent::Ended { reason, .. }) => Some(ChangeEnd::Machine(reason.clone())),
            What::Memory(event) => self.see_memory(event),
            What::Processors(event) if self.subject == Subject::Cpus => self.see_processors(event),
            What::Machine(_) | What::Processors(_) => None,
        }
    }

    fn see_memory(&mut self, event: &MemoryEvent) -> Option<ChangeEnd> {
        let is_mine =
            |device: &MemoryStatus| matches!(&self.subject, Subject::Device(id) if *id == device.id);
        match event {
            MemoryEvent::Accepted { device } => {
                self.accepted |= is_mine(device);
                None
            }
            MemoryEvent::Finished { device } | MemoryEvent::Removed { device } => {
                (self.accepted && is_mine(device)).then(|| ChangeEnd::Device(device.clone()))
            }
            MemoryEvent::Progress { .. } | MemoryEvent::Ost { .. } => None,
        }
    }

    fn see_processors(&mut self, event: &ProcessorEvent) -> Option<ChangeEnd> {
        match event {
            ProcessorEvent::CpusAccepted { .. } => {
                self.accepted = true;
                None
            }
            ProcessorEvent::CpusFinished { cpus } => self.accepted.then(|| ChangeEnd::Cpus(cpus.clone())),
            ProcessorEvent::CpusProgress { .. } | ProcessorEvent::CpuOst { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dimmer_devices::memory::{Outcome, State};

    use crate::api::tests::fake::{device, ended};
    use crate::events::Cause;

    /// Shows `events` to a follower of `d1`; returns what it saw.
    fn see(events: impl IntoIterator<Item = What>) -> Option<ChangeEnd> {
        let mut followers = Followers::default();
        let followed = followers.add(Subject::Device("d1".to_owned()));
        for event in events {
            followers.see(&event);
        }
        let end = followed.0.borrow().clone();
        assert_eq!(end.is_some(), followers.0.is_empty(), "who has seen the end follows no more");
        end
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
        assert_eq!(end, Some(ChangeEnd::Device(ended("d1", State::Plugged, Outcome::Done, None))));
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
        assert_eq!(end, Some(ChangeEnd::Device(removed)));
    }

    #[test]
    fn the_machines_end_is_an_end() {
        let end =
            see([What::Machine(MachineEvent::Ended { reason: "off".to_owned(), cause: Cause::PowerOff })]);
        assert_eq!(end, Some(ChangeEnd::Machine("off".to_owned())));
        assert_eq!(
            see([
                What::Machine(MachineEvent::Paused),
                What::Machine(MachineEvent::Resetting { by_guest: true })
            ]),
            None
        );
    }

    #[test]
    fn processors_are_followed_like_devices() {
        use dimmer_devices::processors::{ProcessorEvent, ProcessorsStatus};
        let cpus = ProcessorsStatus { max: 4, requested: 2, plugged: 2, state: State::Plugged, last: None };
        let finished = What::Processors(ProcessorEvent::CpusFinished { cpus: cpus.clone() });
        let mut followers = Followers::default();
        let followed = followers.add(Subject::Cpus);
        followers.see(&accepted("d1"));
        followers.see(&finished);
        assert_eq!(*followed.0.borrow(), None, "that was an earlier change");
        followers.see(&What::Processors(ProcessorEvent::CpusAccepted { cpus: cpus.clone() }));
        followers.see(&finished);
        assert_eq!(*followed.0.borrow(), Some(ChangeEnd::Cpus(cpus)));
        assert!(followers.0.is_empty());
    }

    #[test]
    fn those_whom_nobody_waits_for_are_forgotten() {
        let mut followers = Followers::default();
        (0..1000).for_each(|_| drop(followers.add(Subject::Device("d1".to_owned()))));
        assert_eq!(followers.0.len(), 1);
    }
}
