//! What can be said of a balloon, and what is saved of it.

use serde::{Deserialize, Serialize};

use super::{Balloon, BalloonConfig, Statistics};
use crate::state::StateError;

/// What can be said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalloonStatus {
    /// What it was asked to be last.
    pub config: BalloonConfig,
    /// Pages in it, as the driver says.
    pub actual: u32,
    /// Bytes that were given back because they went into it, since it was made.
    pub given_back: u64,
    /// Bytes that were given back because they were free, since it was made.
    pub reported: u64,
    /// What the driver said last of the guest's memory.
    pub statistics: Statistics,
}

/// What is saved of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BalloonState {
    /// Pages that are to be in it.
    pub target: u32,
    /// Pages in it, as the driver says.
    pub actual: u32,
    /// Seconds between statistics.
    pub interval: Option<u32>,
    /// What the driver said last of the guest's memory.
    pub statistics: Statistics,
    /// The driver's chain for statistics that the device has.
    pub held: Option<u16>,
}

impl Balloon {
    /// What can be said of it.
    pub fn status(&self) -> BalloonStatus {
        let Self { config, actual, given_back, reported, .. } = *self;
        BalloonStatus { config, actual, given_back, reported, statistics: self.statistics.clone() }
    }

    /// Its state.
    pub(super) fn taken(&self) -> BalloonState {
        let Self { config: BalloonConfig { target, statistics: interval, .. }, actual, held, .. } = *self;
        BalloonState { target, actual, interval, statistics: self.statistics.clone(), held }
    }

    /// Goes on from `state`, if it is one of a balloon like this.
    pub(super) fn go_on_from(&mut self, state: &BalloonState) -> Result<(), StateError> {
        let asks = self.config.statistics.is_some();
        StateError::unless(state.interval.is_some() == asks && (asks || state.held.is_none()), || {
            "a balloon that asks for statistics and one that does not are not the same".to_owned()
        })?;
        (self.config.target, self.config.statistics) = (state.target, state.interval);
        (self.actual, self.held) = (state.actual, state.held);
        self.statistics = state.statistics.clone();
        self.set_alarm();
        Ok(())
    }
}
