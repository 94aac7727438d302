//! What the machine does about its balloon.

use dimmer_devices::bus::lock;
use dimmer_devices::virtio::balloon::{Balloon, PAGE};
use dimmer_devices::virtio::mmio::VirtioMmio;

use super::Machine;
use crate::control::{BalloonStatus, Refusal, Reply};
use crate::units::Bytes;

impl Machine {
    /// Asks the guest to have `size` bytes in the balloon.
    pub(super) fn set_balloon(&self, size: u64) -> Result<Reply, Refusal> {
        let balloon = self.wiring.balloon.as_ref().ok_or_else(no_balloon)?;
        let most = self.ram_size();
        let pages = u32::try_from(size / PAGE).ok().filter(|_| size <= most && size.is_multiple_of(PAGE));
        let pages = pages.ok_or_else(|| {
            let (size, page, most) = (Bytes(size), Bytes(PAGE), Bytes(most));
            let rule = format!("must be a multiple of {page} of at most {most}, the RAM that there is");
            Refusal::Invalid(format!("the balloon's size of {size} {rule}"))
        })?;
        lock(balloon).set_target(pages);
        Ok(Reply::Done)
    }

    /// From now on the guest says every so many seconds how its memory is.
    pub(super) fn set_balloon_interval(&self, seconds: u32) -> Result<Reply, Refusal> {
        let balloon = self.wiring.balloon.as_ref().ok_or_else(no_balloon)?;
        if self.spec.balloon.is_none_or(|balloon| balloon.statistics.is_none()) {
            let text = "this machine's balloon has no statistics: start it with --balloon stats=on";
            return Err(Refusal::Conflict(text.to_owned()));
        }
        lock(balloon).set_interval(seconds);
        Ok(Reply::Done)
    }

    /// Boot RAM and what is plugged.
    pub(super) fn ram_size(&self) -> u64 {
        let plugged = self.wiring.memory_devices().iter().map(|device| device.plugged_size).sum::<u64>();
        self.spec.memory.size + plugged
    }
}

fn no_balloon() -> Refusal {
    Refusal::Conflict("this machine has no balloon: start it with --balloon".to_owned())
}

/// What can be said of a balloon.
pub(super) fn status(balloon: &VirtioMmio<Balloon>) -> BalloonStatus {
    let status = balloon.device().status();
    let bytes = |pages: u32| u64::from(pages) * PAGE;
    BalloonStatus {
        target_size: bytes(status.config.target),
        actual_size: bytes(status.actual),
        deflate_on_oom: status.config.deflate_on_oom,
        free_page_reporting: status.config.free_page_reporting,
        given_back: status.given_back,
        reported: status.reported,
        statistics_interval: status.config.statistics,
        statistics: status.statistics.named().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}
