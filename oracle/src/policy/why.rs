//! Why a block goes to a zone: the rule, and the numbers that it was decided by.

use std::fmt;

use super::Zone;

/// A zone, and why that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The zone.
    pub zone: Zone,
    /// The reason.
    pub why: Why,
}

/// The rule that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Whoever put the block online named the zone.
    Asked,
    /// The policy contig-zones.
    Contig {
        /// The kernel zone that was to be had.
        kernel: Zone,
        /// Whether the kernel zone spans the block.
        in_kernel: bool,
        /// Whether the movable zone spans it.
        in_movable: bool,
        /// The boot parameter that decides when both or neither does.
        movable_node: bool,
    },
    /// `auto_movable_ratio` is 0.
    RatioIsZero,
    /// A part of the device is online in a kernel zone, so the rest is, too.
    GroupHasKernel {
        /// How much, in pages.
        pages: u64,
    },
    /// A part of the device's unit is online in a kernel zone, so the rest is, too.
    UnitHasKernel {
        /// The section that is.
        section: u64,
    },
    /// The ratio was checked: for the whole machine and, when that allowed it, for the node.
    Checked(Check),
}

impl Why {
    /// Whether the auto-movable policy says movable.
    pub fn is_movable(&self) -> bool {
        matches!(self, Self::Checked(check) if check.allows())
    }
}

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All nodes.
    Machine,
    /// One node.
    Node(u32),
}

impl Scope {
    /// Whether `node` belongs to it.
    pub fn covers(self, node: u32) -> bool {
        match self {
            Self::Machine => true,
            Self::Node(only) => only == node,
        }
    }
}

/// One check of the ratio; all numbers are pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// What it is about.
    pub scope: Scope,
    /// `auto_movable_ratio`, in percent.
    pub ratio: u32,
    /// Boot memory in kernel zones.
    pub early: u64,
    /// What of it the movable memory of other dynamic groups needs.
    pub reserved: u64,
    /// The own dynamic group's memory in kernel zones.
    pub own_kernel: u64,
    /// Memory in the movable zone.
    pub movable: u64,
    /// What of it belongs to other dynamic groups.
    pub others_movable: u64,
    /// What is to come.
    pub want: u64,
}

impl Check {
    /// Whether the memory to come may be movable.
    pub fn allows(&self) -> bool {
        // Before the group's own kernel memory is added, and also when nothing is left exactly.
        self.early > self.reserved && self.wanted() <= self.limit()
    }

    /// Movable memory, were this to be movable; other dynamic groups have their own.
    pub fn wanted(&self) -> u64 {
        self.movable.wrapping_sub(self.others_movable).wrapping_add(self.want)
    }

    fn kernel(&self) -> u64 {
        self.early.saturating_sub(self.reserved) + self.own_kernel
    }

    /// Movable memory that there may be at most.
    pub fn limit(&self) -> u64 {
        u64::from(self.ratio).wrapping_mul(self.kernel()) / 100
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = match self.scope {
            Scope::Machine => "the machine".to_owned(),
            Scope::Node(node) => format!("node {node}"),
        };
        if self.early <= self.reserved {
            return write!(
                f,
                "other virtio-mem devices need {} of the {} early kernel pages of {scope}",
                self.reserved, self.early
            );
        }
        let relation = if self.allows() { "<=" } else { ">" };
        let before = self.movable.wrapping_sub(self.others_movable);
        write!(f, "{before}+{} {relation} {} % of {} ", self.want, self.ratio, self.kernel())?;
        if self.reserved == 0 && self.own_kernel == 0 {
            return write!(f, "early kernel pages = {}, on {scope}", self.limit());
        }
        write!(f, "kernel pages = {}, on {scope} ({} early", self.limit(), self.early)?;
        if self.reserved > 0 {
            write!(f, ", less {} for other virtio-mem devices", self.reserved)?;
        }
        if self.own_kernel > 0 {
            write!(f, ", and {} of the device's own", self.own_kernel)?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.zone)?;
        match &self.why {
            Why::Asked => write!(f, "asked for by name"),
            Why::RatioIsZero => write!(f, "auto_movable_ratio is 0"),
            Why::GroupHasKernel { pages } => {
                write!(f, "{pages} pages of the same device are in a kernel zone")
            }
            Why::UnitHasKernel { section } => {
                write!(f, "section {section} of the same unit is in a kernel zone")
            }
            Why::Checked(check) => check.fmt(f),
            Why::Contig { kernel, in_kernel, in_movable, movable_node } => {
                let spans = match (in_kernel, in_movable) {
                    (true, false) => format!("only {kernel} spans it"),
                    (false, true) => "only Movable spans it".to_owned(),
                    (true, true) => format!("{kernel} and Movable span it"),
                    (false, false) => format!("neither {kernel} nor Movable spans it"),
                };
                let node = if *movable_node { ", with movable_node" } else { "" };
                write!(f, "contig-zones: {spans}{node}")
            }
        }
    }
}
