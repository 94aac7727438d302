//! Steps: what is done to the machine or in the guest.

use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BlockSet, Expect, Size};

mod action;
mod again;
mod command;
mod dax;
mod device;
mod guest;
mod load;
mod virtio_mem;

pub use action::Action;
pub use again::Again;
pub(super) use again::expanded;
pub use command::{Command, Deed, Run};
pub use dax::{Dax, DriverWord};
pub use device::{FaultText, NotifyWord, Plug};
pub use guest::{
    BlockFile, Blocks, Inject, OnlineWord, PageWord, Parameters, Poison, PoisonWord, PolicyWord, Write,
};
pub use load::{Load, Pool};
pub use virtio_mem::{Add, Resize};

/// How many devices a step plugs: no machine has more slots (`dimmer_acpi::hotplug::MAX_SLOTS`).
const PLUGS: RangeInclusive<u32> = 1..=1024;

/// One step: exactly one of the actions, and what is to come of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// Plugs ACPI memory devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plug: Option<Plug>,
    /// Asks the guest to let an ACPI memory device go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unplug: Option<String>,
    /// Has the guest eject an ACPI memory device by itself, through the device's file `eject`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eject: Option<String>,
    /// Asks for a virtio-mem device's size; the size that it has makes its driver look again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize: Option<Resize>,
    /// Puts a virtio-mem device into a place, which the machine has by `present=off`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add: Option<Add>,
    /// Asks the guest to let a virtio-mem device go that was put into a place, and unbinds its driver there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove: Option<String>,
    /// Has a driver take a dax device, or none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dax: Option<Dax>,
    /// Puts blocks online, in ascending order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<Blocks>,
    /// Takes blocks offline, in ascending order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline: Option<BlockSet>,
    /// Writes a word to a file of a block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write: Option<Write>,
    /// Holds a page of each of these blocks, so that they cannot go offline. Linux then tries for as long as
    /// nobody interrupts it: an ejection stays in progress, and a write to `state` is interrupted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin: Option<BlockSet>,
    /// Lets the pages of these blocks go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unpin: Option<BlockSet>,
    /// Has the guest's kernel take a page for broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poison: Option<Poison>,
    /// Changes the guest's parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<Parameters>,
    /// Has programs use so much memory that so much of all is in use, or no more than the kernel when it is `0%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// Has a program lock so much memory, in place of what one locked before; none when it is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<Size>,
    /// Sets the number of huge pages in a node's pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hugepages: Option<Pool>,
    /// Lets the guest's memory notifiers fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inject: Option<Inject>,
    /// Sets what is to go wrong with memory devices, in place of all that was set before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Vec<FaultText>>,
    /// Waits until virtio-mem drivers have tried again by themselves what did not work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settle: Option<Empty>,
    /// Resets the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reboot: Option<Empty>,
    /// Has the kernel start another one like itself, without the machine knowing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kexec: Option<Empty>,
    /// Has the kernel panic, and a crash kernel start, for which `crashkernel` has set memory aside. Of its memory the
    /// oracle says nothing; a reset is all that can follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crash: Option<Empty>,
    /// Runs a command in the guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// Has `lsmem` of the guest's distribution print memory, which must be what the oracle says: each block with its state,
    /// zones and node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lsmem: Option<Empty>,
    /// Gives udev of the guest's distribution a rule that puts blocks online as they come, with this word, in place of the one
    /// that a step gave it before; none when it is `offline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub udev: Option<OnlineWord>,
    /// In place of an action: steps before it happen again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub again: Option<Again>,
    /// What is to come of it; the oracle's word when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
}

/// An action without details: `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

impl Step {
    /// Whether it waits for a driver's timer, for most of a minute or longer.
    pub const fn waits(&self) -> bool {
        self.settle.is_some()
    }

    /// Whether it makes sense in itself.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        match &self.actions()[..] {
            [Action::Plug(plug)] if plug.size.is_some() == plug.ranges.is_some() => {
                Err("plug: it must have either `size` or `ranges`".to_owned())
            }
            [Action::Plug(plug)] if plug.count.is_some_and(|count| !PLUGS.contains(&count)) => {
                Err(format!("plug: `count` must be {} to {}", PLUGS.start(), PLUGS.end()))
            }
            [Action::Plug(plug)] if plug.count.is_some() && plug.start.is_some() => {
                Err("plug: `start` is of one device, without `count`".to_owned())
            }
            [Action::Online(blocks)] if blocks.how == OnlineWord::Offline => {
                Err("online: `how` must be online, online_kernel or online_movable".to_owned())
            }
            [Action::Run(run)] => run.check().and_then(|()| self.check_expectation(true)),
            [_] => self.check_expectation(false),
            found => Err(format!(
                "it must have exactly one of plug, unplug, eject, resize, add, remove, dax, online, offline, write, pin, \
                 unpin, poison, set, load, lock, hugepages, inject, fault, settle, reboot, kexec, crash, run, lsmem and udev, \
                 or again alone, not {}",
                found.len()
            )),
        }
    }

    fn check_expectation(&self, runs: bool) -> Result<(), String> {
        match &self.expect {
            Some(Expect::Details(expected)) if !runs && expected.is_about_a_command() => {
                Err("expect: only a step with `run` has `status` and `output`".to_owned())
            }
            expect => expect.as_ref().map_or(Ok(()), Expect::check),
        }
    }

    /// Whether a guest can take it: the lab's own one, which has few programs, or one with a distribution, whose image has no
    /// kernel that could be started.
    ///
    /// # Errors
    /// What it needs.
    pub(super) fn check_on(&self, distribution: bool) -> Result<(), String> {
        let action = self.action();
        let name = action.name();
        match action {
            Action::Lsmem | Action::Udev(_) if !distribution => {
                Err(format!("{name}: it needs a guest with a `distribution`"))
            }
            Action::Kexec | Action::Crash if distribution => {
                Err(format!("{name}: an image of a distribution has no kernel that could be started"))
            }
            _ => Ok(()),
        }
    }
}
