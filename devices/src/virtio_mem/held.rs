//! Faults on the driver's requests: an answer that is given without doing anything, another
//! requested size that comes first, and a request that is held back for a while.
//!
//! While a request is held, the device takes no other, and an alarm is under way. The alarms of a
//! device look alike, and one for a request that a reset dropped still rings. So a held request
//! knows its time, and an alarm that rings before that is not its own.

use std::time::{Duration, Instant};

use super::VirtioMem;
use super::request::{Received, Request, Response};
use crate::alarm::{self, Purpose};
use crate::fault::{Action, Point};
use crate::virtio::queue::Queues;

/// A request that is looked at later.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) received: Received,
    pub(super) until: Instant,
}

/// What a fault makes of a request.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is carried out.
    Carried(Received),
    /// It is answered so and not carried out.
    Answered(Received, Response),
    /// It is held.
    Held,
}

impl Received {
    /// What happens here that can go wrong; nothing when the request cannot be carried out.
    fn point(&self) -> Option<Point> {
        self.reply_to.as_ref()?;
        Some(match self.request.ok()? {
            Request::Plug(_) => Point::Plug,
            Request::Unplug(_) => Point::Unplug,
            Request::UnplugAll => Point::UnplugAll,
            Request::State(_) => Point::State,
        })
    }
}

impl VirtioMem {
    /// Lets the faults have their way with a new request.
    pub(super) fn expose(&mut self, received: Received, queues: &mut Queues<'_>) -> Fate {
        let action = received.point().and_then(|point| self.outside.faults.hit(&self.id, point));
        match action {
            Some(Action::Nack) => return Fate::Answered(received, Response::Nack),
            Some(Action::Busy) => return Fate::Answered(received, Response::Busy),
            Some(Action::Error) => return Fate::Answered(received, Response::Error),
            Some(Action::Delay { milliseconds }) => {
                self.hold(received, alarm::delay(milliseconds));
                return Fate::Held;
            }
            Some(Action::Request { size }) => {
                if let Err(error) = self.ask(size, queues) {
                    tracing::warn!("{}: a fault asks for what cannot be: {error}", self.id);
                }
            }
            _ => {}
        }
        Fate::Carried(received)
    }

    fn hold(&mut self, received: Received, delay: Duration) {
        self.held = Some(Held { received, until: Instant::now() + delay });
        self.outside.alarm.after(delay, &self.id, Purpose::Delay);
    }

    /// The held request, when its time has come.
    pub(super) fn release(&mut self) -> Option<Received> {
        self.held.take_if(|held| held.until <= Instant::now()).map(|held| held.received)
    }

    /// Forgets a held request: whoever made it no longer waits for the answer.
    pub(super) fn drop_held(&mut self) {
        if let Some(Held { received, .. }) = self.held.take() {
            self.note(received.request, None);
        }
    }
}
