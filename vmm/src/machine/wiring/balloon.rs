//! The balloon.

use std::sync::{Arc, Mutex};

use dimmer_devices::virtio::balloon::{Balloon, BalloonConfig, PAGE};
use dimmer_devices::virtio::mmio::VirtioMmio;

use super::WiringError;
use crate::machine::parts::{Parts, Transports};
use crate::spec::{Backing, BalloonSpec};

/// The device on its transport.
pub type SharedBalloon = Arc<Mutex<VirtioMmio<Balloon>>>;

/// The device, if the machine has one.
pub(super) fn balloon(
    parts: &Parts<'_>,
    transports: &mut Transports<'_>,
) -> Result<Option<SharedBalloon>, WiringError> {
    let Some(BalloonSpec { size, deflate_on_oom, free_page_reporting, statistics }) = parts.spec.balloon
    else {
        return Ok(None);
    };
    let most = transports.left();
    if most == 0 {
        return Err(WiringError::TooMany { flag: "--balloon", asked: 1, most });
    }
    let memory = &parts.spec.memory;
    if matches!(memory.backing, Backing::Hugetlb(_))
        || (memory.reserve && matches!(memory.backing, Backing::Memfd | Backing::File(_)))
    {
        tracing::warn!(
            "--balloon: memory of the host's pool of huge pages, and what is set aside in a file, is not given back"
        );
    }
    let target = u32::try_from(size / PAGE).unwrap_or(u32::MAX);
    let config = BalloonConfig { target, deflate_on_oom, free_page_reporting, statistics };
    let outside = parts.outside;
    Ok(Some(transports.attach(Balloon::new(config, outside.host.clone(), outside.alarm.clone()))?))
}
