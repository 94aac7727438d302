//! The device with random bytes.

use std::sync::{Arc, Mutex};

use dimmer_devices::virtio::mmio::VirtioMmio;
use dimmer_devices::virtio::rng::Rng;
use rustix::rand::{GetRandomFlags, getrandom};

use super::WiringError;
use crate::machine::parts::{Parts, Transports};
use crate::machine::wake::Wake;

/// The device on its transport.
pub type SharedRng = Arc<Mutex<VirtioMmio<Rng>>>;

/// The device, if the machine has one.
pub(super) fn rng(
    parts: &Parts<'_>,
    transports: &mut Transports<'_>,
) -> Result<Option<SharedRng>, WiringError> {
    if !parts.spec.rng {
        return Ok(None);
    }
    let most = transports.left();
    if most == 0 {
        return Err(WiringError::TooMany { flag: "--rng", asked: 1, most });
    }
    let waker = parts.waker.clone();
    let rest = Box::new(move || waker.wake(Wake::MoreRandom));
    Ok(Some(transports.attach(Rng::new(Box::new(fill), rest))?))
}

/// Random bytes of the host's kernel, which has them at once once it has booted.
fn fill(bytes: &mut [u8]) -> bool {
    getrandom(&mut *bytes, GetRandomFlags::NONBLOCK).is_ok_and(|filled| filled == bytes.len())
}
