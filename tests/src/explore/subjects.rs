//! Where guests come from: real machines, or models.

use dimmer_images::Kernel;

use crate::oracle::release::Release;
use crate::scenario::real::{Real, RealError};
use crate::scenario::subject::{ModelError, Subject};
use crate::scenario::{Prediction, Scenario};

/// A source of guests.
pub trait Subjects {
    /// A guest.
    type Subject: Subject;

    /// Boots the scenario's machine.
    ///
    /// # Errors
    /// When it does not come up.
    fn boot(&self, scenario: &Scenario) -> Result<Self::Subject, <Self::Subject as Subject>::Error>;
}

/// Real machines with a real kernel.
#[derive(Debug, Clone, Copy)]
pub struct Machines<'a> {
    /// The kernel.
    pub kernel: &'a Kernel,
}

impl Subjects for Machines<'_> {
    type Subject = Real;

    fn boot(&self, scenario: &Scenario) -> Result<Real, RealError> {
        Real::boot(scenario, self.kernel)
    }
}

/// Models in the place of guests.
#[derive(Debug, Clone, Copy)]
pub struct Models {
    /// Their release.
    pub release: Release,
}

impl Subjects for Models {
    type Subject = Prediction;

    fn boot(&self, scenario: &Scenario) -> Result<Prediction, ModelError> {
        Prediction::new(scenario, self.release).map_err(ModelError)
    }
}
