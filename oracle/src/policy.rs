//! Which zone a block goes to when it is put online (`zone_for_pfn_range`), and why.

use std::ops::Range;

use super::group::{Group, GroupKind};
use super::memory::{GroupId, Memory};
use super::mistake::Mistake;
use super::zone::{SECTION, Zone};

mod met;
pub mod why;

pub use why::{Check, Decision, Scope, Why};

/// What `online_policy` says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnlinePolicy {
    /// Keep zones contiguous.
    #[default]
    ContigZones,
    /// As much movable memory as the ratio allows.
    AutoMovable,
}

/// How a block is put online.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnlineType {
    /// `online`: as the policy says.
    Policy,
    /// `online_kernel`.
    Kernel,
    /// `online_movable`.
    Movable,
}

/// The parameters of the module `memory_hotplug`, and what else decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// `online_policy`.
    pub policy: OnlinePolicy,
    /// `auto_movable_ratio`, in percent.
    pub ratio: u32,
    /// `auto_movable_numa_aware`.
    pub numa_aware: bool,
    /// The boot parameter `movable_node`.
    pub movable_node: bool,
}

impl Default for Policy {
    /// The kernel's own defaults.
    fn default() -> Self {
        Self { policy: OnlinePolicy::ContigZones, ratio: 301, numa_aware: true, movable_node: false }
    }
}

/// What is to be put online: page frames of one node, which may be of a group.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The block's page frames.
    pub frames: Range<u64>,
    /// Its node.
    pub node: u32,
    /// Its group.
    pub group: Option<GroupId>,
}

impl Memory {
    /// The zone that `candidate` would go to now.
    pub fn zone_for(&self, candidate: &Candidate, how: OnlineType) -> Decision {
        let kernel = self.kernel_zone(candidate);
        match how {
            OnlineType::Kernel => Decision { zone: kernel, why: Why::Asked },
            OnlineType::Movable => Decision { zone: Zone::Movable, why: Why::Asked },
            OnlineType::Policy => match self.policy.policy {
                OnlinePolicy::ContigZones => self.contig(candidate, kernel),
                OnlinePolicy::AutoMovable => {
                    let why = self.auto_movable(candidate);
                    let zone = if why.is_movable() { Zone::Movable } else { kernel };
                    Decision { zone, why }
                }
            },
        }
    }

    /// The first of DMA and DMA32 that spans any of it, else Normal (`default_kernel_zone_for_pfn`).
    pub fn kernel_zone(&self, candidate: &Candidate) -> Zone {
        let spans = |zone: &Zone| self.zone(candidate.node, *zone).intersects(&candidate.frames);
        let low = [Zone::Dma, Zone::Dma32].into_iter().find(spans);
        low.filter(|_| !self.makes(Mistake::LowMemoryIsNormal)).unwrap_or(Zone::Normal)
    }

    fn contig(&self, candidate: &Candidate, kernel: Zone) -> Decision {
        let spans = |zone| self.zone(candidate.node, zone).intersects(&candidate.frames);
        let in_movable = spans(Zone::Movable) && !self.makes(Mistake::ContigKnowsNoMovable);
        let (in_kernel, movable_node) = (spans(kernel), self.policy.movable_node);
        let unclear = in_kernel == in_movable || self.makes(Mistake::MovableNodeDecides);
        let movable = if unclear { movable_node } else { in_movable };
        let zone = if movable { Zone::Movable } else { kernel };
        Decision { zone, why: Why::Contig { kernel, in_kernel, in_movable, movable_node } }
    }

    fn auto_movable(&self, candidate: &Candidate) -> Why {
        if self.policy.ratio == 0 {
            return Why::RatioIsZero;
        }
        let pages = candidate.frames.end - candidate.frames.start;
        let group = candidate.group.map(|id| self.group(id));
        let one_block = |kind| match kind {
            GroupKind::Static { .. } => self.makes(Mistake::DimmIsOneBlock),
            GroupKind::Dynamic { .. } => self.makes(Mistake::UnitIsOneBlock),
        };
        let may_mix = self.makes(Mistake::DimmMayMix);
        let want = match group.map(|group| (group, group.kind)) {
            Some((_, kind)) if one_block(kind) => pages,
            Some((group, GroupKind::Static { .. })) if group.present_kernel > 0 && !may_mix => {
                return Why::GroupHasKernel { pages: group.present_kernel };
            }
            // More may be online than the group was registered with, by ranges merged in _CRS; unsigned
            // as in the kernel.
            Some((group, GroupKind::Static { max_pages })) => max_pages.wrapping_sub(group.present_movable),
            Some((_, GroupKind::Dynamic { unit_pages })) if unit_pages != pages => {
                match self.rest_of_unit(&candidate.frames, unit_pages) {
                    Ok(rest) => rest,
                    Err(section) => return Why::UnitHasKernel { section },
                }
            }
            Some((_, GroupKind::Dynamic { .. })) | None => pages,
        };
        let all = self.check(Scope::Machine, candidate.group, want);
        let numa_aware = self.policy.numa_aware && !self.makes(Mistake::NumaAwareIgnored);
        if !all.allows() || !numa_aware {
            return Why::Checked(all);
        }
        Why::Checked(self.check(Scope::Node(candidate.node), candidate.group, want))
    }

    /// Pages of the unit around `frames` that are not online yet, or the first section of it that is
    /// online in another zone than the movable one.
    fn rest_of_unit(&self, frames: &Range<u64>, unit_pages: u64) -> Result<u64, u64> {
        let start = frames.start / unit_pages * unit_pages;
        let mut online = 0;
        for section in (start..start + unit_pages).step_by(usize::try_from(SECTION).expect("a small number"))
        {
            match self.zone_of_section(section) {
                Some(Zone::Movable) => online += SECTION,
                Some(_) => return Err(section / SECTION),
                None => {}
            }
        }
        Ok(unit_pages - online)
    }

    /// The sums behind one answer (`auto_movable_can_online_movable`).
    fn check(&self, scope: Scope, own: Option<GroupId>, want: u64) -> Check {
        let nodes = || self.nodes().filter(|(node, _)| scope.covers(*node));
        let early = nodes().flat_map(|(_, zones)| &zones[..3]).filter(|zone| zone.present > 0);
        let plugged_too = self.makes(Mistake::PluggedIsEarly);
        let early = early.map(|zone| if plugged_too { zone.present } else { zone.early }).sum();
        let movable = nodes().map(|(_, zones)| zones[3].present).sum();
        let ratio = u64::from(self.policy.ratio);
        let others: Vec<&Group> = self
            .groups()
            .filter(|(id, group)| Some(*id) != own && group.is_dynamic() && scope.covers(group.node))
            .map(|(_, group)| group)
            .collect();
        let own_kernel = own.map(|id| self.group(id)).filter(|group| group.is_dynamic());
        let own_kernel = own_kernel.filter(|_| !self.makes(Mistake::OwnKernelIgnored));
        let reserves = |_: &&&Group| !self.makes(Mistake::OthersReserveNothing);
        let counts_apart = |_: &&&Group| !self.makes(Mistake::OthersMovableCounts);
        Check {
            scope,
            ratio: self.policy.ratio,
            early,
            reserved: others.iter().filter(reserves).map(|group| group.required_kernel(ratio)).sum(),
            own_kernel: own_kernel.map_or(0, |group| group.present_kernel),
            movable,
            others_movable: others.iter().filter(counts_apart).map(|group| group.present_movable).sum(),
            want: want + u64::from(self.makes(Mistake::RatioIsExclusive)),
        }
    }
}
