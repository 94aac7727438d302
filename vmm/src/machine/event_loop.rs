//! The event loop: the main thread waits for commands, wake-ups, signals, sockets and the
//! terminal, and nothing else ever blocks it.

use std::cell::RefCell;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use event_manager::{EventManager, EventOps, EventSet, Events, MutEventSubscriber, SubscriberOps};
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::timerfd::TimerFd;

use super::signals::{ASKS, Signals};
use super::wake::Wake;
use super::{End, Machine, MachineError};
use crate::control::{Letter, VmState};

/// What the loop listens to besides the machine's own sockets.
#[derive(Debug)]
pub struct Sources {
    /// Commands.
    pub letters: Receiver<Letter>,
    /// Rings for a command.
    pub bell: EventFd,
    /// Wake-ups from vCPU threads and devices.
    pub wakes: Receiver<Wake>,
    /// Rings for a wake-up.
    pub wake_bell: Arc<EventFd>,
    /// Signals.
    pub signals: Signals,
    /// Rings when a guest that was asked to power off has had its time.
    pub overdue: TimerFd,
    /// How long that is.
    pub patience: Duration,
}

type Subscriber = Rc<RefCell<dyn MutEventSubscriber>>;

/// What the loop waits with, which watches nothing yet.
pub struct Waiting(EventManager<Subscriber>);

impl Waiting {
    /// The host gives it before the sandbox closes.
    ///
    /// # Errors
    /// [`MachineError::EventLoop`] when the host has none.
    pub fn new() -> Result<Self, MachineError> {
        let manager = EventManager::new();
        Ok(Self(manager.map_err(|error| MachineError::EventLoop(format!("{error:?}")))?))
    }
}

/// Runs the loop until the machine ends.
///
/// # Errors
/// [`MachineError::EventLoop`] when the host's epoll fails.
pub fn run(Waiting(mut manager): Waiting, machine: Machine, sources: Sources) -> Result<End, MachineError> {
    let failed = |error: &dyn std::fmt::Display| MachineError::EventLoop(error.to_string());
    for line in machine.wiring.lines() {
        manager.add_subscriber(line);
    }
    let control = Rc::new(RefCell::new(Control { machine, sources, is_asked: false }));
    manager.add_subscriber(control.clone());
    loop {
        manager.run().map_err(|error| failed(&format!("{error:?}")))?;
        if let Some(end) = control.borrow_mut().machine.end.take() {
            return Ok(end);
        }
    }
}

/// Commands, wake-ups and signals: what acts on the machine as a whole.
struct Control {
    machine: Machine,
    sources: Sources,
    /// Whether a signal has asked for the end.
    is_asked: bool,
}

const BELL: u32 = 0;
const WAKE: u32 = 1;
const ALARM: u32 = 2;
const OVERDUE: u32 = 3;
const SIGNAL: u32 = 4;

impl MutEventSubscriber for Control {
    fn init(&mut self, ops: &mut EventOps) {
        let wake_bell = &*self.sources.wake_bell;
        watch(ops, &self.sources.bell, BELL, EventSet::IN);
        watch(ops, wake_bell, WAKE, EventSet::IN);
        watch(ops, &*self.machine.alarms, ALARM, EventSet::IN);
        watch(ops, &self.sources.overdue, OVERDUE, EventSet::IN);
        for (number, pipe) in (SIGNAL..).zip(self.sources.signals.pipes()) {
            watch(ops, pipe, number, EventSet::IN);
        }
    }

    fn process(&mut self, events: Events, _: &mut EventOps) {
        match events.data() {
            BELL => {
                drain(&self.sources.bell);
                while let Ok(letter) = self.sources.letters.try_recv() {
                    self.machine.answer(letter);
                }
            }
            WAKE => {
                drain(&self.sources.wake_bell);
                while let Ok(wake) = self.sources.wakes.try_recv() {
                    self.machine.take(wake);
                }
            }
            ALARM => {
                let is_running = self.machine.state == VmState::Running;
                for device in self.machine.alarms.take() {
                    self.machine.wiring.alarm(&device, is_running);
                }
            }
            OVERDUE => {
                let seconds = self.sources.patience.as_secs();
                let late = format!("by {ASKS}: the guest did not power off within {seconds} s");
                self.machine.finish(End::Asked(late));
            }
            number => self.signalled(number - SIGNAL),
        }
    }
}

impl Control {
    /// A signal ends the machine; but the first of those that ask for the end gives a guest that runs the time to end itself.
    fn signalled(&mut self, number: u32) {
        let name = self.sources.signals.take(number);
        let can_end_itself = self.machine.state == VmState::Running && !self.sources.patience.is_zero();
        if name != ASKS || std::mem::replace(&mut self.is_asked, true) || !can_end_itself {
            return self.machine.finish(End::Asked(format!("by {name}")));
        }
        self.machine.press_power_button();
        if let Err(error) = self.sources.overdue.reset(self.sources.patience, None) {
            tracing::error!("cannot set a timer: {error}");
            self.machine.finish(End::Asked(format!("by {name}")));
        }
    }
}

/// Watches `source` for as long as the loop runs.
pub(super) fn watch(ops: &mut EventOps, source: &dyn AsRawFd, data: u32, set: EventSet) {
    if let Err(error) = ops.add(Events::with_data_raw(source.as_raw_fd(), data, set)) {
        tracing::error!("event loop: cannot watch descriptor {}: {error:?}", source.as_raw_fd());
    }
}

/// Stops watching a descriptor, which is still open.
pub(super) fn forget(ops: &mut EventOps, descriptor: RawFd) {
    if let Err(error) = ops.remove(Events::empty_raw(descriptor)) {
        tracing::error!("event loop: cannot forget descriptor {descriptor}: {error:?}");
    }
}

/// Takes an eventfd's count, so that it does not ring again for what is being done now.
pub(super) fn drain(bell: &EventFd) {
    // Nothing to take: somebody else was faster.
    let _ = bell.read();
}
