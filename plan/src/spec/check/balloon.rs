//! The balloon.

use super::{BadValue, PAGE};
use crate::spec::{BalloonSpec, MachineSpec};
use crate::units::Bytes;

/// Checks that what is to be in it at start can be there.
pub(super) fn check(machine: &MachineSpec) -> Result<(), BadValue> {
    let Some(BalloonSpec { size, .. }) = machine.balloon else { return Ok(()) };
    let most = machine.memory.size;
    if size <= most && size.is_multiple_of(PAGE) {
        return Ok(());
    }
    let rule = format!("must be a multiple of {} of at most {}, the boot RAM", Bytes(PAGE), Bytes(most));
    Err(BadValue::new("size", Bytes(size), rule))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::sample;
    use crate::units::GIB;

    #[test]
    fn a_balloon_has_whole_pages_of_boot_ram() {
        let with = |size| {
            let balloon =
                BalloonSpec { size, deflate_on_oom: false, free_page_reporting: false, statistics: None };
            check(&MachineSpec { balloon: Some(balloon), ..sample::machine() }).map_err(|bad| bad.to_string())
        };
        for size in [0, PAGE, 4 * GIB] {
            assert_eq!(with(size), Ok(()));
        }
        for size in [1, PAGE + 1, 4 * GIB + PAGE] {
            assert!(
                with(size)
                    .unwrap_err()
                    .ends_with("must be a multiple of 4 KiB of at most 4 GiB, the boot RAM")
            );
        }
    }
}
