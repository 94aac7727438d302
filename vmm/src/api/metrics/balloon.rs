//! The balloon's numbers.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::bytes;
use crate::control::BalloonStatus;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Said {
    statistic: String,
}

/// What is to be in it and is, what was given back because of it, and what the guest said of its memory.
pub(super) fn register(registry: &mut Registry, balloon: &BalloonStatus) {
    for (name, help, size) in [
        ("balloon_target", "What is to be in the balloon", balloon.target_size),
        ("balloon_actual", "What is in the balloon, as the guest says", balloon.actual_size),
    ] {
        let gauge = Gauge::<i64>::default();
        gauge.set(bytes(size));
        registry.register_with_unit(name, help, Unit::Bytes, gauge);
    }
    let given = Family::<Reason, Counter>::default();
    for (reason, size) in [("inflated", balloon.given_back), ("free", balloon.reported)] {
        given.get_or_create(&Reason { reason }).inc_by(size);
    }
    let help = "Memory that was given back to the host for going into the balloon, or for being free";
    registry.register_with_unit("balloon_given_back", help, Unit::Bytes, given);
    let said = Family::<Said, Gauge>::default();
    for (statistic, value) in &balloon.statistics {
        said.get_or_create(&Said { statistic: statistic.clone() }).set(bytes(*value));
    }
    registry.register("balloon_statistics", "What the guest said last of its memory", said);
}
