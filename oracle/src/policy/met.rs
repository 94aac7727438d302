//! Which rules a decision met.

use super::{Check, Decision, Scope, Why};
use crate::group::GroupKind;
use crate::rule::{Met, Rule};
use crate::zone::Zone;

impl Decision {
    /// The rules that made it, for `pages` of a device that is of this kind.
    pub(crate) fn met(&self, pages: u64, kind: Option<GroupKind>) -> Met {
        let mut met = Met::new();
        if matches!(self.zone, Zone::Dma | Zone::Dma32) {
            met.add(Rule::KernelZoneIsLow);
        }
        match &self.why {
            Why::Asked if self.zone == Zone::Movable => met.add(Rule::AskedForMovable),
            Why::Asked => met.add(Rule::AskedForKernel),
            Why::RatioIsZero => met.add(Rule::RatioIsZero),
            Why::GroupHasKernel { .. } => met.add(Rule::DimmHasKernel),
            Why::UnitHasKernel { .. } => met.add(Rule::UnitHasKernel),
            Why::Contig { in_kernel, in_movable, movable_node, .. } => {
                met.add(match (in_kernel, in_movable) {
                    (true, false) => Rule::ContigKernel,
                    (false, true) => Rule::ContigMovable,
                    (true, true) => Rule::ContigBoth,
                    (false, false) => Rule::ContigNeither,
                });
                if in_kernel == in_movable && *movable_node {
                    met.add(Rule::MovableNodeDecides);
                }
            }
            Why::Checked(check) => {
                met.add_all(check.met());
                match kind {
                    Some(GroupKind::Static { .. }) if check.want > pages => met.add(Rule::DimmAsAWhole),
                    Some(GroupKind::Dynamic { .. }) if check.want > pages => met.add(Rule::UnitAsAWhole),
                    _ => {}
                }
            }
        }
        met
    }
}

impl Check {
    fn met(&self) -> Met {
        let mut met = Met::new();
        met.add(match (self.scope, self.allows()) {
            (Scope::Machine, true) => Rule::MachineAllows,
            (Scope::Machine, false) => Rule::MachineForbids,
            (Scope::Node(_), true) => Rule::NodeAllows,
            (Scope::Node(_), false) => Rule::NodeForbids,
        });
        for (holds, rule) in [
            (self.early <= self.reserved, Rule::OthersReserveAll),
            (self.reserved > 0, Rule::OthersReserve),
            (self.others_movable > 0, Rule::OthersMovableIsApart),
            (self.own_kernel > 0, Rule::OwnKernelCounts),
            (self.wanted() == self.limit(), Rule::RatioIsReached),
        ] {
            if holds {
                met.add(rule);
            }
        }
        met
    }
}
