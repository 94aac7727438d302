//! Guests that are warm: booted once and standing still. What is to be done is done on a child of such a guest, which begins
//! as it was right after its boot, and is nobody else's.

use dimmer::ctl::client::Method;
use dimmer_images::Kernel;

use super::elsewhere::Journey;
use super::{Real, RealError};
use crate::scenario::{self, Action, Effect, OnlineWord, Parameters, Scenario};

/// See the module.
#[derive(Debug)]
pub struct Warm {
    real: Real,
    settings: scenario::Guest,
}

impl Warm {
    /// Boots the scenario's machine.
    ///
    /// # Errors
    /// [`RealError`].
    pub fn boot(scenario: &Scenario, kernel: &Kernel) -> Result<Self, RealError> {
        let mut real = Real::boot(scenario, kernel)?;
        real.layout()?;
        real.stand_still()?;
        Ok(Self { real, settings: scenario.guest.clone() })
    }

    /// A child for a scenario with this machine, and with no other settings than can be changed while a guest runs.
    ///
    /// # Errors
    /// [`RealError`].
    pub fn child(&self, scenario: &Scenario) -> Result<Real, RealError> {
        let mut real = self.real.child()?;
        real.cmdline = super::kernels::cmdline(scenario);
        let guest = &scenario.guest;
        if *guest != self.settings {
            let parameters = Parameters {
                online_policy: Some(guest.policy()),
                auto_movable_ratio: Some(guest.auto_movable_ratio),
                auto_movable_numa_aware: Some(guest.auto_movable_numa_aware),
                auto_online_blocks: Some(guest.auto_online(OnlineWord::Online)),
                ..Parameters::default()
            };
            real.apply(&Action::Set(&parameters), &Effect::default())?;
        }
        Ok(real)
    }
}

impl Real {
    /// From now on the machine stands still, and is there for its children.
    ///
    /// # Errors
    /// [`RealError`].
    pub fn stand_still(&mut self) -> Result<(), RealError> {
        self.vm.rest.tell(Method::PUT, "/vm.pause", None)?;
        Ok(())
    }

    /// A child, of which all is known that is known of this machine.
    ///
    /// # Errors
    /// [`RealError`].
    pub fn child(&self) -> Result<Self, RealError> {
        Ok(Self {
            vm: self.vm.fork()?,
            resets: self.resets,
            last_event: self.last_event,
            requests: self.requests.clone(),
            log: self.log,
            stuck: self.stuck,
            pinned: self.pinned.clone(),
            poisoned: self.poisoned.clone(),
            block_size: self.block_size,
            cmdline: self.cmdline.clone(),
            has_distribution: self.has_distribution,
            restores: self.restores.as_ref().map(Journey::of_child),
        })
    }
}
