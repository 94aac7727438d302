//! `/balloon` and `/balloon/statistics`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::{Api, Shared};
use super::fault::{Body, Fault};
use super::machine::{done, info};
use crate::cli::LONGEST_INTERVAL;
use crate::control::{BalloonStatus, Command};
use crate::units::{KIB, MIB};

/// Bytes of a page.
const PAGE: u64 = 4 * KIB;

/// The body of `GET /balloon`.
#[derive(Debug, Serialize)]
pub struct Config {
    amount_mib: u64,
    deflate_on_oom: bool,
    /// 0 without statistics.
    stats_polling_interval_s: u32,
    free_page_hinting: bool,
    free_page_reporting: bool,
}

/// The body of `GET /balloon/statistics`.
#[derive(Debug, Serialize)]
pub struct Statistics {
    target_pages: u64,
    actual_pages: u64,
    target_mib: u64,
    actual_mib: u64,
    /// What the guest said, by name.
    #[serde(flatten)]
    said: BTreeMap<String, u64>,
}

/// The body of `PATCH /balloon`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SizeUpdate {
    /// MiB that are to be in it.
    amount_mib: u32,
}

/// The body of `PATCH /balloon/statistics`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IntervalUpdate {
    /// Seconds between statistics.
    stats_polling_interval_s: u32,
}

async fn status(api: &Api) -> Result<BalloonStatus, Fault> {
    let none = || Fault("this machine has no balloon: start it with --balloon".to_owned());
    info(api).await?.balloon.ok_or_else(none)
}

fn no_statistics() -> Fault {
    Fault("this machine's balloon has no statistics: start it with --balloon stats=on".to_owned())
}

/// Shows the balloon.
pub async fn show(State(api): Shared) -> Result<Json<Config>, Fault> {
    let status = status(&api).await?;
    Ok(Json(Config {
        amount_mib: status.target_size / MIB,
        deflate_on_oom: status.deflate_on_oom,
        stats_polling_interval_s: status.statistics_interval.unwrap_or(0),
        free_page_hinting: false,
        free_page_reporting: status.free_page_reporting,
    }))
}

/// Asks for the balloon's size.
pub async fn resize(State(api): Shared, Body(wanted): Body<SizeUpdate>) -> Result<StatusCode, Fault> {
    done(&api, Command::SetBalloon(u64::from(wanted.amount_mib) * MIB)).await
}

/// Shows what the guest said last of its memory.
pub async fn statistics(State(api): Shared) -> Result<Json<Statistics>, Fault> {
    let BalloonStatus {
        target_size: target, actual_size: actual, statistics: said, statistics_interval, ..
    } = status(&api).await?;
    statistics_interval.ok_or_else(no_statistics)?;
    Ok(Json(Statistics {
        target_pages: target / PAGE,
        actual_pages: actual / PAGE,
        target_mib: target / MIB,
        actual_mib: actual / MIB,
        said,
    }))
}

/// Changes how often the guest is asked.
pub async fn set_interval(
    State(api): Shared,
    Body(IntervalUpdate { stats_polling_interval_s: seconds }): Body<IntervalUpdate>,
) -> Result<StatusCode, Fault> {
    status(&api).await?.statistics_interval.ok_or_else(no_statistics)?;
    if !(1..=LONGEST_INTERVAL).contains(&seconds) {
        return Err(Fault(format!("stats_polling_interval_s: {seconds} must be 1 to {LONGEST_INTERVAL}")));
    }
    done(&api, Command::SetBalloonInterval(seconds)).await
}
