//! Planted errors: rules that the model gets wrong on purpose.
//!
//! They show that an explorer finds what it is there to find. Each is one rule; the code of that
//! rule asks for it in one line, with [`Memory::makes`](super::memory::Memory::makes).

/// Makes the list of mistakes: each with its meaning and its name.
macro_rules! mistakes {
    ($($(#[doc = $about:literal])+ $mistake:ident = $name:literal,)+) => {
        /// A rule that the model gets wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[cfg_attr(
            feature = "serde",
            derive(serde::Serialize, serde::Deserialize),
            serde(rename_all = "kebab-case")
        )]
        pub enum Mistake {
            $($(#[doc = $about])+ $mistake,)+
        }

        impl Mistake {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$mistake),+];

            /// Its name, as in `ratio-is-exclusive`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$mistake => $name,)+
                }
            }

            /// What the model says with it, in a sentence.
            pub const fn about(self) -> &'static str {
                match self {
                    $(Self::$mistake => concat!($($about),+),)+
                }
            }
        }
    };
}

mistakes! {
    /// Movable memory stays below what the ratio allows, instead of reaching it.
    RatioIsExclusive = "ratio-is-exclusive",
    /// Memory that was plugged into kernel zones counts as early kernel memory.
    PluggedIsEarly = "plugged-is-early",
    /// `auto_movable_numa_aware` changes nothing.
    NumaAwareIgnored = "numa-aware-ignored",
    /// What other virtio-mem devices need of the early kernel memory is not set aside.
    OthersReserveNothing = "others-reserve-nothing",
    /// Movable memory of other virtio-mem devices counts against the ratio.
    OthersMovableCounts = "others-movable-counts",
    /// A virtio-mem device's own kernel memory allows no movable memory.
    OwnKernelIgnored = "own-kernel-ignored",
    /// A unit of several blocks is decided on block by block.
    UnitIsOneBlock = "unit-is-one-block",
    /// A DIMM is decided on block by block.
    DimmIsOneBlock = "dimm-is-one-block",
    /// Kernel memory in a DIMM says nothing about its other blocks.
    DimmMayMix = "dimm-may-mix",
    /// A zone spans what it ever spanned.
    SpansOnlyGrow = "spans-only-grow",
    /// The policy contig-zones does not look at the movable zone.
    ContigKnowsNoMovable = "contig-knows-no-movable",
    /// `valid_zones` names the zones by their addresses, not the default first.
    ValidZonesSorted = "valid-zones-sorted",
    /// virtio-mem unplugs the lowest memory blocks first.
    UnplugsBottomUp = "unplugs-bottom-up",
    /// virtio-mem unplugs partial blocks in kernel zones after everything else.
    KernelPartialsLast = "kernel-partials-last",
    /// virtio-mem adds blocks before it fills partial ones.
    PartialsAreNotFilled = "partials-are-not-filled",
    /// virtio-mem adds blocks no matter how many are offline.
    NoOfflineThreshold = "no-offline-threshold",
    /// A refused ejection is not reported.
    RefusalIsNotReported = "refusal-is-not-reported",
    /// Every block of a DIMM can hold its own memmap, also where only a DIMM of one block can.
    MemmapOnEveryBlock = "memmap-on-every-block",
    /// Blocks that come are put online although a notifier refuses.
    RefusalsAreIgnored = "refusals-are-ignored",
    /// A refusal to go online leaves the zone as it was.
    RefusalMovesNoZone = "refusal-moves-no-zone",
    /// An ejection that waited reports itself as the machine's, whoever began it.
    WaitingEjectionForgetsWhoBegan = "waiting-ejection-forgets-who-began",
    /// A reset changes nothing about the parameters that were set at run time.
    ResetKeepsParameters = "reset-keeps-parameters",
    /// `movable_node` decides whatever zones span a block.
    MovableNodeDecides = "movable-node-decides",
    /// The memmap of memory that comes takes no kernel memory.
    MemmapIsFree = "memmap-is-free",
    /// Memory that holds its own memmap pays for it as all other does.
    OwnMemmapIsPaid = "own-memmap-is-paid",
    /// What is set aside for a crash kernel, or as huge pages, can be had for memmaps.
    SetAsideIsFree = "set-aside-is-free",
    /// A DIMM comes as far as it fills memory blocks, wherever it begins and ends.
    HalfBlocksCome = "half-blocks-come",
    /// DIMMs lie at the lowest free multiple of 128 MiB, whatever is said of `align=` or known of memory blocks.
    DimmsLieClose = "dimms-lie-close",
    /// Kernel memory below 4 GiB goes to the zone Normal, as all other does.
    LowMemoryIsNormal = "low-memory-is-normal",
    /// `mem=` keeps no device's memory away while Linux boots.
    MemKeepsNothingAway = "mem-keeps-nothing-away",
    /// kmem removes all memory of a dax device that it lets go, also what is online.
    KmemTakesAll = "kmem-takes-all",
    /// The group of a dax device has the pages of blocks, too, that it does not fill.
    KmemCountsParts = "kmem-counts-parts",
    /// KASLR leaves room for all memory.
    KaslrLeavesAll = "kaslr-leaves-all",
}
