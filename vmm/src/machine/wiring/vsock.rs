//! The socket device.

use super::WiringError;
use crate::machine::parts::{Parts, Transports};
use crate::machine::vsock::Vsock;

/// The device, if the machine has one.
pub(super) fn vsock(
    parts: &Parts<'_>,
    transports: &mut Transports<'_>,
) -> Result<Option<Vsock>, WiringError> {
    let Some(spec) = &parts.spec.vsock else { return Ok(None) };
    let most = transports.left();
    if most == 0 {
        return Err(WiringError::TooMany { flag: "--vsock", asked: 1, most });
    }
    Ok(Some(Vsock::new(spec, parts.waker.clone(), transports)?))
}
