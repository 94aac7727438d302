//! Devices that come and go while the guest runs.
//!
//! One that comes is under way until a driver runs it; one that is to go has nothing plugged and nothing requested, and is there
//! until its [place](crate::places) finds that no driver has it any more.

use serde::{Deserialize, Serialize};

use super::{VirtioMem, VirtioMemConfig, VirtioMemError};
use crate::memory::{Last, MemoryEvent, MemoryStatus, Outside};
use crate::virtio::mmio::VirtioMmio;

/// How the coming of a device ends that is to go again.
const NEVER_HERE: &str = "the device was asked to go before a driver had come";

/// Whether a device stays where it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stay {
    /// It does.
    #[default]
    Here,
    /// It has come, and no driver has run it yet.
    Coming,
    /// It is to go.
    Leaving,
}

impl VirtioMem {
    /// A device that comes while the guest runs.
    ///
    /// # Errors
    /// [`VirtioMemError`] names the field of `config` that is wrong.
    pub(crate) fn coming(config: VirtioMemConfig, outside: Outside) -> Result<Self, VirtioMemError> {
        Ok(Self { stay: Stay::Coming, change_from: Some(0), ..Self::new(config, outside)? })
    }

    /// Whether it is to go.
    pub(crate) fn is_leaving(&self) -> bool {
        self.stay == Stay::Leaving
    }

    /// A driver runs it.
    pub(super) fn arrive(&mut self) {
        if self.stay != Stay::Coming {
            return;
        }
        self.stay = Stay::Here;
        if self.plugged_size() == self.requested_size {
            self.change_from = None;
            self.finish(Last::done());
        }
    }

    fn leave(&mut self) -> Result<MemoryStatus, VirtioMemError> {
        let (plugged, requested) = (self.plugged_size(), self.requested_size);
        if plugged != 0 || requested != 0 {
            return Err(VirtioMemError::InUse { plugged, requested });
        }
        if self.change_from.take().is_some() {
            self.finish(Last::refused(NEVER_HERE));
        }
        self.stay = Stay::Leaving;
        let status = self.status();
        self.outside.events.memory(MemoryEvent::Accepted { device: status.clone() });
        Ok(status)
    }
}

impl VirtioMmio<VirtioMem> {
    /// From now on the device is to go.
    ///
    /// # Errors
    /// [`VirtioMemError::InUse`]; nothing has changed then.
    pub(crate) fn leave(&mut self) -> Result<MemoryStatus, VirtioMemError> {
        self.with_device(|device, _| device.leave())
    }

    /// Whether it is to go, and no driver has it.
    pub(crate) fn is_free_to_go(&self) -> bool {
        self.device().is_leaving() && !self.has_driver()
    }

    /// It has gone.
    pub(crate) fn gone(&mut self) {
        self.with_device(|device, _| {
            (device.stay, device.last) = (Stay::Here, Some(Last::done()));
            device.outside.events.memory(MemoryEvent::Removed { device: device.status() });
        });
    }
}
