//! What no model can know: whether the pages of kernel memory can be moved away, and whether there is just enough of it.
//!
//! Pages in the movable zone always can; in other zones, and in boot memory, some page may be one that
//! cannot, and then Linux refuses to take its block offline (`start_isolate_page_range`, `EBUSY`). A step is
//! predicted as if all pages could be moved, and the blocks for which that is not certain are named as
//! *open*. When the guest was seen, the step is repeated with what it did *assumed*.

use std::collections::BTreeSet;

/// What is assumed of kernel memory during one step, and what depended on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chance {
    /// Blocks that refuse to go offline.
    stay: BTreeSet<u64>,
    /// Blocks for which both outcomes were allowed.
    open: BTreeSet<u64>,
    /// Whether kernel memory does not do where that is not certain.
    short: bool,
    /// Blocks for which it is not certain.
    unpaid: BTreeSet<u64>,
    /// Whether a driver sends requests that a fault answers, which nobody sees.
    unseen: bool,
}

impl Chance {
    /// All blocks can be emptied but these.
    pub fn all_but(stay: BTreeSet<u64>) -> Self {
        Self { stay, ..Self::default() }
    }

    /// There is no kernel memory for blocks where that is not certain.
    pub fn short() -> Self {
        Self { short: true, ..Self::default() }
    }

    /// Drivers send requests that a fault answers where that is not certain.
    pub fn with_unseen_requests() -> Self {
        Self { unseen: true, ..Self::default() }
    }

    /// Whether they do.
    pub(super) const fn sends_unseen_requests(&self) -> bool {
        self.unseen
    }

    /// From now on, whether there is none.
    pub(super) const fn assume_short(&mut self, short: bool) {
        self.short = short;
    }

    /// Whether kernel memory does not do for `blocks`, for which both outcomes are allowed.
    pub(super) fn is_short(&mut self, blocks: std::ops::Range<u64>) -> bool {
        self.unpaid.extend(blocks);
        self.short
    }

    /// Whether `block`, for which both outcomes are allowed, can be emptied.
    pub(super) fn lets_go(&mut self, block: u64) -> bool {
        self.open.insert(block);
        !self.stay.contains(&block)
    }

    /// Notes that both outcomes are allowed for `block`.
    pub(super) fn leave_open(&mut self, block: u64) {
        self.open.insert(block);
    }

    /// The blocks for which there may have been no kernel memory so far.
    pub const fn unpaid(&self) -> &BTreeSet<u64> {
        &self.unpaid
    }

    /// The blocks for which both outcomes were allowed so far.
    pub const fn open(&self) -> &BTreeSet<u64> {
        &self.open
    }
}
