//! Guests that are warm: booted once and standing still. What is to be done is done on a child of such a guest, which begins
//! as it was right after its boot, and is nobody else's.

use dimmer::ctl::client::Method;
use dimmer_images::Kernel;

use super::{Real, RealError};
use crate::scenario::{self, Action, Effect, Parameters, Scenario};
use crate::vm::TestVm;

/// See the module.
#[derive(Debug)]
pub struct Warm {
    vm: TestVm,
    settings: scenario::Guest,
    block_size: u64,
}

impl Warm {
    /// Boots the scenario's machine.
    ///
    /// # Errors
    /// [`RealError`].
    pub fn boot(scenario: &Scenario, kernel: &Kernel) -> Result<Self, RealError> {
        let mut real = Real::boot(scenario, kernel)?;
        real.layout()?;
        real.vm.rest.tell(Method::PUT, "/vm.pause", None)?;
        Ok(Self { vm: real.vm, settings: scenario.guest.clone(), block_size: real.block_size })
    }

    /// A child for a scenario with this machine, and with no other settings than can be changed while a guest runs.
    ///
    /// # Errors
    /// [`RealError`].
    pub fn child(&self, scenario: &Scenario) -> Result<Real, RealError> {
        let mut real = Real::new(self.vm.fork()?, scenario, self.block_size);
        let guest = &scenario.guest;
        if *guest != self.settings {
            let parameters = Parameters {
                online_policy: Some(guest.online_policy),
                auto_movable_ratio: Some(guest.auto_movable_ratio),
                auto_movable_numa_aware: Some(guest.auto_movable_numa_aware),
                auto_online_blocks: Some(guest.auto_online_blocks),
                ..Parameters::default()
            };
            real.apply(&Action::Set(&parameters), &Effect::default())?;
        }
        Ok(real)
    }
}
