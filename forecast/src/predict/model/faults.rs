//! Faults of a machine, as far as the model knows what a guest makes of them.

use dimmer_oracle::faults;
use dimmer_plan::fault::{ActionName, Fault, Point};

use super::Prediction;
use crate::scenario::{Effect, FaultText};

impl Prediction {
    pub(super) fn fault(&mut self, wanted: &[FaultText]) -> Result<Effect, String> {
        let is_virtio_mem = |device: &str| self.linux.virtio_mem.contains_key(device);
        let known = |text: &FaultText| {
            let known = known(&text.fault, is_virtio_mem(&text.fault.device));
            known.ok_or_else(|| format!("fault: what comes of {:?} is not known", String::from(text.clone())))
        };
        let faults = wanted.iter().map(known).collect::<Result<_, _>>()?;
        self.linux.faults.set(faults);
        Ok(Effect::default())
    }
}

/// The same fault for the model; `None` when it does not know what comes of it.
fn known(fault: &Fault, is_virtio_mem: bool) -> Option<faults::Fault> {
    use faults::Failure::{Busy, Delay, Empty, Error, LateStatus, Lose, Nack, Refuse};
    let on = match fault.on {
        Point::Plug => faults::Point::Plug,
        Point::Unplug => faults::Point::Unplug,
        Point::Resources => faults::Point::Resources,
        Point::Eject => faults::Point::Eject,
        Point::Interrupt if is_virtio_mem => faults::Point::Interrupt,
        _ => return None,
    };
    let failure = match (on, fault.action) {
        (faults::Point::Plug | faults::Point::Unplug, ActionName::Nack) => Nack,
        (faults::Point::Plug | faults::Point::Unplug, ActionName::Busy) => Busy,
        (faults::Point::Plug | faults::Point::Unplug, ActionName::Error) => Error,
        (faults::Point::Plug | faults::Point::Unplug, ActionName::Delay) => Delay,
        (faults::Point::Resources, ActionName::Empty) => Empty,
        (faults::Point::Eject, ActionName::Refuse) => Refuse,
        (faults::Point::Eject, ActionName::LateStatus) => LateStatus,
        (faults::Point::Interrupt, ActionName::Lose) => Lose,
        _ => return None,
    };
    Some(faults::Fault { device: fault.device.clone(), on, nth: fault.nth, times: fault.times, failure })
}
