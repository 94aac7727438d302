//! Planted errors: rules that the model gets wrong on purpose.
//!
//! They show that the explorer finds what it is there to find. Each is one rule; the code of that
//! rule asks for it in one line, with [`Memory::makes`](super::memory::Memory::makes).

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A rule that the model gets wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mistake {
    /// Movable memory stays below what the ratio allows, instead of reaching it.
    RatioIsExclusive,
    /// Memory that was plugged into kernel zones counts as early kernel memory.
    PluggedIsEarly,
    /// `auto_movable_numa_aware` changes nothing.
    NumaAwareIgnored,
    /// What other virtio-mem devices need of the early kernel memory is not set aside.
    OthersReserveNothing,
    /// Movable memory of other virtio-mem devices counts against the ratio.
    OthersMovableCounts,
    /// A virtio-mem device's own kernel memory allows no movable memory.
    OwnKernelIgnored,
    /// A unit of several blocks is decided on block by block.
    UnitIsOneBlock,
    /// A DIMM is decided on block by block.
    DimmIsOneBlock,
    /// Kernel memory in a DIMM says nothing about its other blocks.
    DimmMayMix,
    /// A zone spans what it ever spanned.
    SpansOnlyGrow,
    /// The policy contig-zones does not look at the movable zone.
    ContigKnowsNoMovable,
    /// `valid_zones` names the zones by their addresses, not the default first.
    ValidZonesSorted,
    /// virtio-mem unplugs the lowest memory blocks first.
    UnplugsBottomUp,
    /// virtio-mem unplugs partial blocks in kernel zones after everything else.
    KernelPartialsLast,
    /// virtio-mem adds blocks before it fills partial ones.
    PartialsAreNotFilled,
    /// virtio-mem adds blocks no matter how many are offline.
    NoOfflineThreshold,
    /// A refused ejection is not reported.
    RefusalIsNotReported,
    /// Every block of a DIMM can hold its own memmap, also where only a DIMM of one block can.
    MemmapOnEveryBlock,
    /// Blocks that come are put online although a notifier refuses.
    RefusalsAreIgnored,
    /// A refusal to go online leaves the zone as it was.
    RefusalMovesNoZone,
    /// An ejection that waited reports itself as the machine's, whoever began it.
    WaitingEjectionForgetsWhoBegan,
    /// A reset changes nothing about the parameters that were set at run time.
    ResetKeepsParameters,
    /// `movable_node` decides whatever zones span a block.
    MovableNodeDecides,
}
