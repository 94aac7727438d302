//! Guests booted and put under stress, to find out how many of them a host loses, and how.
//!
//! Each has two processors, on both of which programs sleep, wake and start others all the time: that is timers,
//! interrupts between processors and changes of page tables, what an emulation gets wrong first.

use dimmer_images::Kernel;
use serde::{Deserialize, Serialize};

use crate::vm::{self, Setup, TestVm, VmError};

/// The machine of each guest.
const MACHINE: &str = "--cpus 2 --memory size=256M";

/// A guest to boot and stress.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// The kernel's name.
    pub kernel: String,
    /// How often a program sleeps, wakes and starts another, on each of the guest's processors.
    pub rounds: u32,
}

/// What became of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// It did all it was to do.
    Well,
    /// It is lost.
    Lost {
        /// How, in words.
        how: String,
        /// What machine and console said.
        why: String,
    },
}

/// Boots a guest and stresses it.
pub fn one(kernel: &Kernel, rounds: u32) -> End {
    let mut how = "on its way up";
    let result = vm::audited(|| {
        let mut vm = Setup::new(kernel).arguments(MACHINE).boot()?;
        how = "under stress";
        Ok(stress(&mut vm, rounds)?)
    });
    match result {
        Ok(()) => End::Well,
        Err(error) => End::Lost { how: how.into(), why: crate::chain(&*error) },
    }
}

/// Sleeps and forks on both processors at once, and ends when both are done.
fn stress(vm: &mut TestVm, rounds: u32) -> Result<(), VmError> {
    let round = format!("i=0; while [ $i -lt {rounds} ]; do usleep 1000; i=$((i+1)); done");
    let script = format!("for cpu in 0 1; do taskset -c $cpu sh -c '{round}' & done; wait");
    vm.shell(&script).map(drop)
}

/// What became of all guests so far.
#[derive(Debug, Default)]
pub struct Tally {
    /// Guests that did all they were to do.
    pub well: usize,
    /// Guests that were lost, and those that their host took with it.
    pub lost: usize,
}

impl Tally {
    /// Counts a guest; gives a line about it if it is lost.
    pub fn add(&mut self, number: usize, end: &End) -> Option<String> {
        match end {
            End::Well => {
                self.well += 1;
                None
            }
            End::Lost { how, why } => {
                self.lost += 1;
                Some(format!("guest {number} was lost {how}: {why}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_guest_is_counted_and_named() {
        let mut tally = Tally::default();
        assert_eq!(tally.add(1, &End::Well), None);
        let lost = End::Lost { how: "under stress".into(), why: "it fell silent".into() };
        assert_eq!(tally.add(2, &lost).unwrap(), "guest 2 was lost under stress: it fell silent");
        assert_eq!((tally.well, tally.lost), (1, 1));
    }
}
