//! What comes of a step, as it is predicted and as it is seen.

use std::collections::{BTreeMap, BTreeSet};

use dimmer_oracle::memory::Errno;
use dimmer_oracle::virtio_mem::Request;
use dimmer_report::{Block, Status};

use super::OutcomeWord;

mod dax;

pub use dax::{DaxState, Resource};

/// Requests of each virtio-mem device's driver, oldest first.
pub type Requests = BTreeMap<String, Vec<Request>>;

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its exit status, or the signal that ended it.
    pub status: Status,
    /// What it wrote: standard output first, then errors.
    pub output: String,
}

/// What comes of a step, beside the layout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effect {
    /// How the change of a device ends.
    pub outcome: Option<OutcomeWord>,
    /// The `_OST` pairs of the step.
    pub ost: Vec<(u32, u32)>,
    /// The plugged size of the device that was resized.
    pub plugged: Option<u64>,
    /// What each block that did not do as asked fails with.
    pub refused: Vec<(u64, Errno)>,
    /// Bytes that the kernel takes for broken, once a step has broken a page.
    pub hardware_corrupted: Option<u64>,
    /// What a step with a dax device leaves of it.
    pub dax: Option<DaxState>,
    /// How a command ended and what it wrote, of one that was run.
    pub ran: Option<Ran>,
    /// The blocks that `lsmem` has printed, if it was asked.
    pub listed: Option<Vec<Block>>,
    /// The block that an ejection waits for, if one does.
    pub stuck: Option<u64>,
    /// The addresses of the pages that the step pinned, which only the guest can tell.
    pub pinned: Vec<u64>,
    /// What the driver of each virtio-mem device asked for, oldest first.
    pub requests: Requests,
    /// How many occasions each fault that is set has seen, also those that nothing else shows.
    pub occasions: Vec<u64>,
    /// Blocks for which there may be no kernel memory; they are open, too.
    pub unpaid: BTreeSet<u64>,
    /// Whether the guest may be lost in the step, since it runs out of memory.
    pub may_lose_the_guest: bool,
    /// Blocks that may go offline or refuse, or come or not, as far as the oracle knows; empty for what was seen.
    pub open: BTreeSet<u64>,
}
