//! A real machine that a scenario is carried out on, with somebody who notes what its guest showed after each step.

use dimmer::ctl::client::Method;
use dimmer_agent::report::Layout;

use super::frame::Frame;
use super::subject::Subject;
use crate::devices::Devices;
use crate::real::{Real, RealError};
use crate::scenario::{Action, Effect, Requests, Scenario};

/// The machine, and what was noted.
#[derive(Debug)]
pub struct Witness<'a> {
    real: &'a mut Real,
    scenario: &'a Scenario,
    /// What was noted: of the boot first, then of each step.
    pub frames: Vec<Frame>,
}

impl<'a> Witness<'a> {
    /// Nothing is noted yet.
    pub const fn new(real: &'a mut Real, scenario: &'a Scenario) -> Self {
        Self { real, scenario, frames: Vec::new() }
    }
}

impl Subject for Witness<'_> {
    type Error = RealError;

    fn apply(&mut self, action: &Action<'_>, predicted: &Effect) -> Result<Effect, RealError> {
        self.real.apply(action, predicted)
    }

    fn layout(&mut self) -> Result<Layout, RealError> {
        let layout = self.real.layout()?;
        // Without the devices' names a layout is still a layout.
        let devices = self.real.vm.rest.tell(Method::GET, "/memory-devices", None).unwrap_or_default();
        self.frames.push(Frame::new(self.scenario, self.frames.len(), &layout, &Devices::read(&devices)));
        Ok(layout)
    }

    fn requests(&mut self) -> Result<Requests, RealError> {
        Subject::requests(self.real)
    }

    fn plugged(&mut self) -> Result<Option<u64>, RealError> {
        Subject::plugged(self.real)
    }

    fn log(&mut self, wanted: &[String]) -> Result<Vec<String>, RealError> {
        Subject::log(self.real, wanted)
    }

    fn ran_out_of_memory(&self) -> bool {
        Subject::ran_out_of_memory(self.real)
    }
}
