//! Memory groups: what belongs to one device, for the auto-movable policy (`struct memory_group`).

/// What kind of device the group is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupKind {
    /// A device that comes and goes as a whole: an ACPI memory device, or memory that `kmem` manages.
    Static {
        /// Pages of all its ranges, also of those of an ACPI memory device that could not be added.
        max_pages: u64,
    },
    /// A device that grows and shrinks in units: virtio-mem.
    Dynamic {
        /// Pages of a unit.
        unit_pages: u64,
    },
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What it is for.
    pub kind: GroupKind,
    /// Its node.
    pub node: u32,
    /// Pages that are online in kernel zones.
    pub present_kernel: u64,
    /// Pages that are online in the movable zone.
    pub present_movable: u64,
}

impl Group {
    /// A group of which nothing is online.
    pub const fn new(kind: GroupKind, node: u32) -> Self {
        Self { kind, node, present_kernel: 0, present_movable: 0 }
    }

    /// Early kernel pages that this group's movable pages need beyond its own kernel pages, at
    /// `ratio` percent; nothing for a static group (`auto_movable_stats_account_group`).
    pub fn required_kernel(&self, ratio: u64) -> u64 {
        match self.kind {
            GroupKind::Static { .. } => 0,
            GroupKind::Dynamic { .. } => {
                (self.present_movable * 100 / ratio).saturating_sub(self.present_kernel)
            }
        }
    }

    /// Whether the group is dynamic.
    pub const fn is_dynamic(&self) -> bool {
        matches!(self.kind, GroupKind::Dynamic { .. })
    }
}
