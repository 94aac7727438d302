//! What happens, in order: every event gets a number and a time, is kept, and is streamed to
//! whoever listens.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dimmer_devices::bus::lock;
use dimmer_devices::memory::{EventSink, MemoryEvent};
use dimmer_devices::processors::{ProcessorEvent, ProcessorSink};
use dimmer_devices::state::StateError;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

mod changes;
mod follow;
mod tally;
mod what;

pub use changes::Durations;
pub use follow::{ChangeEnd, Followed};
pub use tally::Tally;
pub use what::{Cause, MachineEvent, What};

use changes::Changes;
use follow::{Followers, Subject};

/// Events kept for listeners that come later.
const KEPT: usize = 16 * 1024;
/// Most events that a listener gets at once.
const MOST: usize = 1024;

/// One event; a line of `GET /events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// 1 for the first event, without gaps.
    pub sequence: u64,
    /// Time since the VMM started; for a machine that goes on from a snapshot, with the time before.
    #[schema(schema_with = crate::schema::timestamp)]
    pub timestamp: Duration,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What is saved of the events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsState {
    /// The latest events, oldest first.
    pub kept: Vec<Event>,
    /// Number of the latest one.
    pub last: u64,
    /// Their clock.
    pub clock: Duration,
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Event>,
    last: u64,
    followers: Followers,
    changes: Changes,
    tally: Tally,
}

/// Where events are put, and where they are read.
#[derive(Debug)]
pub struct Hub {
    started: Instant,
    /// How long it was there before.
    before: Mutex<Duration>,
    kept: Mutex<Kept>,
    last: watch::Sender<u64>,
    /// Events that a listener wanted when they were no longer kept.
    missed: AtomicU64,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            before: Mutex::default(),
            kept: Mutex::default(),
            last: watch::Sender::new(0),
            missed: AtomicU64::new(0),
        }
    }
}

impl Hub {
    /// Puts an event; never blocks on a listener.
    pub fn put(&self, what: What) {
        let mut kept = lock(&self.kept);
        kept.last = kept.last.saturating_add(1);
        kept.followers.see(&what);
        kept.tally.see(&what);
        kept.changes.see(&what, Instant::now());
        let event = Event { sequence: kept.last, timestamp: self.elapsed(), what };
        if kept.events.len() == KEPT {
            kept.events.pop_front();
        }
        kept.events.push_back(event);
        self.last.send_replace(kept.last);
    }

    /// Puts an event of the machine.
    pub fn machine(&self, event: MachineEvent) {
        self.put(What::Machine(event));
    }

    /// Follows the next change of the memory device `id`, which has not been accepted yet, to its end. However
    /// many events come in between, this one is not missed.
    pub fn follow(&self, id: &str) -> Followed {
        lock(&self.kept).followers.add(Subject::Device(id.to_owned()))
    }

    /// Follows the next change of the number of processors in the same way.
    pub fn follow_cpus(&self) -> Followed {
        lock(&self.kept).followers.add(Subject::Cpus)
    }

    /// What is kept for listeners that come later.
    pub fn state(&self) -> EventsState {
        let kept = lock(&self.kept);
        EventsState { kept: kept.events.iter().cloned().collect(), last: kept.last, clock: self.elapsed() }
    }

    /// Goes on from `state`, behind which nothing has happened yet: the next event has the next number.
    ///
    /// # Errors
    /// When no hub can be in that state; nothing has changed then.
    pub fn restore(&self, state: &EventsState) -> Result<(), StateError> {
        let numbers = (1..=state.last).rev().take(state.kept.len());
        let right =
            state.kept.len() <= KEPT && state.kept.iter().rev().map(|event| event.sequence).eq(numbers);
        if !right {
            return Err(StateError("the numbers of the events have gaps".to_owned()));
        }
        let mut kept = lock(&self.kept);
        (kept.events, kept.last) = (state.kept.iter().cloned().collect(), state.last);
        *lock(&self.before) = state.clock;
        Ok(())
    }

    /// How long ago `event` happened.
    pub fn age(&self, event: &Event) -> Duration {
        self.elapsed().saturating_sub(event.timestamp)
    }

    /// Time since the machine's first VMM started, as far as it was there.
    fn elapsed(&self) -> Duration {
        self.started.elapsed().saturating_add(*lock(&self.before))
    }

    /// Number of the latest event.
    pub fn last(&self) -> u64 {
        lock(&self.kept).last
    }

    /// How often what happened since this process has the machine.
    pub fn tally(&self) -> Tally {
        lock(&self.kept).tally.clone()
    }

    /// How long changes of memory devices took since this process has the machine.
    pub fn durations(&self) -> Durations {
        lock(&self.kept).changes.durations()
    }

    /// How many events listeners wanted when they were no longer kept.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Waits until there are events behind number `after`, and returns the first ones. Events that are no
    /// longer kept are missing: the gap shows in the numbers.
    pub async fn after(&self, after: u64) -> Vec<Event> {
        let mut last = self.last.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = last.wait_for(|last| *last > after).await;
        let kept = lock(&self.kept);
        // The numbers have no gaps, so the place of the next one is known.
        let oldest = kept.events.front().map_or(kept.last.saturating_add(1), |event| event.sequence);
        let next = after.saturating_add(1);
        self.missed.fetch_add(oldest.saturating_sub(next), Ordering::Relaxed);
        let known = usize::try_from(next.saturating_sub(oldest)).unwrap_or(usize::MAX);
        kept.events.iter().skip(known).take(MOST).cloned().collect()
    }
}

impl ProcessorSink for Hub {
    fn processors(&self, event: ProcessorEvent) {
        self.put(What::Processors(event));
    }
}

impl EventSink for Hub {
    fn memory(&self, event: MemoryEvent) {
        self.put(What::Memory(event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the kept events behind `number`, of which there is one at least.
    fn behind(hub: &Hub, number: u64) -> Vec<u64> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(hub.after(number)).iter().map(|event| event.sequence).collect()
    }

    #[test]
    fn a_listener_gets_so_many_at_once_and_what_it_missed_is_counted() {
        let hub = Hub::default();
        let (kept, most) = (u64::try_from(KEPT).unwrap(), u64::try_from(MOST).unwrap());
        for _ in 0..kept + 5 {
            hub.machine(MachineEvent::Paused);
        }
        assert_eq!(behind(&hub, 5), (6..6 + most).collect::<Vec<_>>());
        assert_eq!(behind(&hub, 5 + most)[0], 6 + most);
        assert_eq!(hub.missed(), 0);
        assert_eq!(behind(&hub, 2)[0], 6);
        assert_eq!(hub.missed(), 3);
    }

    /// A hub that has nothing but a number.
    fn at(last: u64) -> EventsState {
        EventsState { kept: Vec::new(), last, clock: Duration::ZERO }
    }

    #[test]
    fn a_machine_that_goes_on_counts_on_from_its_snapshot_and_keeps_what_was() {
        let (before, hub) = (Hub::default(), Hub::default());
        before.restore(&EventsState { clock: Duration::from_secs(1000), ..at(17) }).unwrap();
        before.machine(MachineEvent::Booting);
        hub.restore(&before.state()).unwrap();
        hub.machine(MachineEvent::Restored);
        hub.machine(MachineEvent::Resumed);
        for number in [0, 16, 17] {
            assert_eq!(behind(&hub, number), [18, 19, 20]);
        }
        assert_eq!(behind(&hub, 19), [20]);
        let kept = hub.state().kept;
        assert_eq!(kept[0], before.state().kept[0]);
        assert!(kept.windows(2).all(|pair| pair[0].timestamp <= pair[1].timestamp), "{kept:?}");
        assert!(kept[0].timestamp >= Duration::from_secs(1000), "{kept:?}");
    }

    #[test]
    fn events_with_gaps_are_refused_and_change_nothing() {
        let hub = Hub::default();
        hub.machine(MachineEvent::Booting);
        hub.machine(MachineEvent::Paused);
        let state = hub.state();
        for wrong in [
            EventsState { last: 3, ..state.clone() },
            EventsState { last: 1, ..state.clone() },
            EventsState { kept: [state.kept.clone(), state.kept.clone()].concat(), ..state.clone() },
        ] {
            assert!(hub.restore(&wrong).is_err(), "{wrong:?}");
            assert_eq!((behind(&hub, 0), hub.last()), (vec![1, 2], 2));
        }
    }

    #[test]
    fn a_number_behind_which_there_is_none_is_the_last_one() {
        let hub = Hub::default();
        hub.restore(&at(u64::MAX)).unwrap();
        hub.machine(MachineEvent::Restored);
        assert_eq!((hub.last(), behind(&hub, 0)), (u64::MAX, vec![u64::MAX]));
    }
}
