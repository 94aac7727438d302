//! The balloon as text.

use crate::control::{BalloonStatus, VmInfo};
use crate::units::Bytes;

/// What is in it, what is to be, and what the guest said of its memory.
pub fn balloon(info: &VmInfo) -> String {
    let Some(balloon) = &info.balloon else { return "There is no balloon.".to_owned() };
    let given = [("Inflated", balloon.given_back), ("Reported", balloon.reported)];
    let given =
        given.map(|(name, size)| (name.to_owned(), format!("{} given back to the host", Bytes(size))));
    let said = balloon.statistics.iter().map(|(name, value)| (name.clone(), value.to_string()));
    let rows = [("Balloon".to_owned(), amount(balloon))].into_iter().chain(given).chain(said);
    rows.map(|(name, value)| format!("{name:<20}{value}")).collect::<Vec<_>>().join("\n")
}

/// What is in it, and what is to be where that is something else.
pub(super) fn amount(balloon: &BalloonStatus) -> String {
    let actual = Bytes(balloon.actual_size);
    if balloon.actual_size == balloon.target_size {
        return actual.to_string();
    }
    format!("{actual}, {} requested", Bytes(balloon.target_size))
}
