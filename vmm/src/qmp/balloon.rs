//! `balloon` and `query-balloon`: sizes are what is left to the guest, as QEMU counts.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Monitor;
use super::message::QmpError;
use super::queries::info;
use crate::control::{BalloonStatus, Command};
use crate::units::KIB;

/// Bytes of a page.
const PAGE: u64 = 4 * KIB;

/// The arguments of `balloon`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Bytes that the guest is to have left.
    value: u64,
}

/// The balloon, and the RAM that it is in.
async fn balloon(monitor: &Monitor) -> Result<(BalloonStatus, u64), QmpError> {
    let info = info(monitor).await?;
    let none = || QmpError::not_active("this machine has no balloon: start it with --balloon");
    let plugged: u64 = info.memory_devices.iter().map(|device| device.plugged_size).sum();
    Ok((info.balloon.ok_or_else(none)?, info.boot_memory + plugged))
}

/// Asks the guest to give away all but `value` bytes.
pub async fn set(monitor: &Monitor, Target { value }: Target) -> Result<Value, QmpError> {
    let (_, ram) = balloon(monitor).await?;
    if value == 0 {
        return Err(QmpError::generic("value=0: must be a number of bytes"));
    }
    let size = ram.saturating_sub(value);
    monitor.access.call(Command::SetBalloon(size - size % PAGE)).await?;
    Ok(json!({}))
}

/// What the guest has left.
pub async fn show(monitor: &Monitor) -> Result<Value, QmpError> {
    let (balloon, ram) = balloon(monitor).await?;
    Ok(json!({"actual": ram.saturating_sub(balloon.actual_size)}))
}
