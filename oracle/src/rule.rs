//! The rules of the model by name, so that an explorer can tell which of them a history has met.
//!
//! Where a rule decides something, its code says so in one line, with [`Memory::meet`]. What was met goes with the memory
//! that it was met in, and stays when another kernel boots: it is an account of the history, and decides nothing.

use super::memory::Memory;

/// Makes the list of rules: each with its meaning and its name.
macro_rules! rules {
    ($($(#[doc = $about:literal])+ $rule:ident = $name:literal,)+) => {
        /// Something that the model decides.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(
            feature = "serde",
            derive(serde::Serialize, serde::Deserialize),
            serde(rename_all = "kebab-case")
        )]
        pub enum Rule {
            $($(#[doc = $about])+ $rule,)+
        }

        impl Rule {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$rule),+];

            /// Its name, as in `ratio-is-zero`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$rule => $name,)+
                }
            }

            /// What it says, in a sentence.
            pub const fn about(self) -> &'static str {
                match self {
                    $(Self::$rule => concat!($($about),+),)+
                }
            }
        }
    };
}

rules! {
    /// Memory blocks are larger where RAM ends at 64 GiB or above.
    LargeBlocks = "large-blocks",
    /// Boot memory does not fill a block.
    HolesAtBoot = "holes-at-boot",
    /// Some boot memory is in the movable zone.
    MovableAtBoot = "movable-at-boot",
    /// A block goes to a kernel zone, which was asked for by name.
    AskedForKernel = "asked-for-kernel",
    /// A block goes to the movable zone, which was asked for by name.
    AskedForMovable = "asked-for-movable",
    /// contig-zones: only the kernel zone spans a block.
    ContigKernel = "contig-kernel",
    /// contig-zones: only the movable zone spans a block.
    ContigMovable = "contig-movable",
    /// contig-zones: both zones span a block.
    ContigBoth = "contig-both",
    /// contig-zones: neither zone spans a block.
    ContigNeither = "contig-neither",
    /// contig-zones: `movable_node` decides where zones do not.
    MovableNodeDecides = "movable-node-decides",
    /// A ratio of 0 allows nothing movable.
    RatioIsZero = "ratio-is-zero",
    /// Kernel memory in a DIMM makes the rest of it kernel memory.
    DimmHasKernel = "dimm-has-kernel",
    /// Kernel memory in a unit of a virtio-mem device makes the rest of it kernel memory.
    UnitHasKernel = "unit-has-kernel",
    /// A DIMM of several blocks is decided on as a whole.
    DimmAsAWhole = "dimm-as-a-whole",
    /// A unit of several blocks is decided on as a whole.
    UnitAsAWhole = "unit-as-a-whole",
    /// The ratio of the whole machine allows movable memory, and nodes do not matter.
    MachineAllows = "machine-allows",
    /// The ratio of the whole machine forbids movable memory.
    MachineForbids = "machine-forbids",
    /// The ratio of the node allows movable memory.
    NodeAllows = "node-allows",
    /// The ratio of the node forbids movable memory that the machine allows.
    NodeForbids = "node-forbids",
    /// Movable memory reaches what the ratio allows to the page.
    RatioIsReached = "ratio-is-reached",
    /// Other virtio-mem devices need a part of the early kernel memory.
    OthersReserve = "others-reserve",
    /// Other virtio-mem devices need all of the early kernel memory.
    OthersReserveAll = "others-reserve-all",
    /// Movable memory of other virtio-mem devices does not count.
    OthersMovableIsApart = "others-movable-is-apart",
    /// A virtio-mem device's own kernel memory allows movable memory.
    OwnKernelCounts = "own-kernel-counts",
    /// A block below 4 GiB goes back to DMA or DMA32.
    KernelZoneIsLow = "kernel-zone-is-low",
    /// A zone begins with a block.
    ZoneBegins = "zone-begins",
    /// A zone grows over what lies between it and a block.
    SpanGrows = "span-grows",
    /// A zone loses its first block, and begins later.
    SpanBeginsLater = "span-begins-later",
    /// A zone loses its last block, and ends earlier.
    SpanEndsEarlier = "span-ends-earlier",
    /// A zone loses a block in its middle, and spans it still.
    SpanKeepsAHole = "span-keeps-a-hole",
    /// A zone loses its only block.
    SpanIsGone = "span-is-gone",
    /// An offline block shows a kernel zone first.
    ShowsKernelFirst = "shows-kernel-first",
    /// An offline block shows the movable zone first.
    ShowsMovableFirst = "shows-movable-first",
    /// A block of the movable zone goes offline.
    MovableGoes = "movable-goes",
    /// A plugged block of a kernel zone goes offline, if its pages can be moved.
    KernelMayGo = "kernel-may-go",
    /// A block of boot memory goes offline, if its pages can be moved.
    BootMemoryMayGo = "boot-memory-may-go",
    /// A block with holes, or in several zones, cannot go offline.
    NoSingleZoneStays = "no-single-zone-stays",
    /// A notifier refuses that a block goes offline.
    NotifierKeepsOnline = "notifier-keeps-online",
    /// A notifier refuses that a block goes online.
    NotifierKeepsOffline = "notifier-keeps-offline",
    /// A zone that grew for a block in vain ends elsewhere than before.
    VainGrowthMovesZone = "vain-growth-moves-zone",
    /// A pinned page keeps a block on its way offline.
    PinnedPageWaits = "pinned-page-waits",
    /// A block that waited for a page asks no notifier again.
    PastTheNotifiers = "past-the-notifiers",
    /// A block that is online keeps the word that was written to it.
    WordIsKept = "word-is-kept",
    /// A kept word decides where a block goes.
    KeptWordCounts = "kept-word-counts",
    /// Blocks that come stay offline.
    ComesOffline = "comes-offline",
    /// The first block that comes and cannot go online keeps the others offline, too.
    RestStaysOffline = "rest-stays-offline",
    /// Memory that does not begin with a block is not added.
    WrongStart = "wrong-start",
    /// Memory that does not end with a block is not added.
    WrongSize = "wrong-size",
    /// A DIMM of one block holds its own memmap, and one of several cannot behind it.
    MemmapRefused = "memmap-refused",
    /// A range holds its own memmap.
    MemmapOnMemory = "memmap-on-memory",
    /// There is memory already.
    Exists = "exists",
    /// `mem=` keeps memory away at boot.
    BehindTheLimit = "behind-the-limit",
    /// KASLR leaves no addresses.
    BehindKaslr = "behind-kaslr",
    /// There is no kernel memory for a memmap.
    MemmapIsNotPaid = "memmap-is-not-paid",
    /// It is not certain whether there is kernel memory for a memmap.
    MemmapMayNotBePaid = "memmap-may-not-be-paid",
    /// Ranges one behind the other are one.
    RangesAreJoined = "ranges-are-joined",
    /// A DIMM has several ranges.
    SeveralRanges = "several-ranges",
    /// A DIMM of which nothing could be added has no driver.
    NoDriver = "no-driver",
    /// Ejecting is switched off.
    EjectIsOff = "eject-is-off",
    /// A DIMM goes.
    DimmGoes = "dimm-goes",
    /// A DIMM without a driver goes.
    DimmWithoutDriverGoes = "dimm-without-driver-goes",
    /// A block keeps its DIMM, of which all other blocks come back.
    DimmStays = "dimm-stays",
    /// An ejection waits for a pinned page.
    EjectionWaits = "ejection-waits",
    /// An ejection that waited ends.
    EjectionGoesOn = "ejection-goes-on",
    /// An ejection that the guest began reports itself as such.
    GuestEjects = "guest-ejects",
    /// kmem makes RAM of a dax device.
    KmemAdds = "kmem-adds",
    /// kmem leaves out what a dax device has of blocks that it does not fill.
    KmemLeavesPartsOut = "kmem-leaves-parts-out",
    /// kmem refuses a dax device that fills no block.
    KmemFindsNoBlock = "kmem-finds-no-block",
    /// kmem removes the memory of a dax device that it lets go.
    KmemRemoves = "kmem-removes",
    /// kmem lets a dax device go of which a block is online, and the memory stays.
    KmemLeavesMemory = "kmem-leaves-memory",
    /// Memory that stayed keeps drivers from a dax device.
    LeftMemoryIsInTheWay = "left-memory-is-in-the-way",
    /// The driver adds a block that it has never had.
    NewBlock = "new-block",
    /// The driver adds a block that it had before.
    UsedBlock = "used-block",
    /// The driver fills a partial block in a kernel zone.
    FillsKernel = "fills-kernel",
    /// The driver fills a partial block in the movable zone.
    FillsMovable = "fills-movable",
    /// The driver fills a partial block that is offline.
    FillsOffline = "fills-offline",
    /// Too much of a device is offline for more.
    TooMuchOffline = "too-much-offline",
    /// The driver goes on once less is offline.
    GoesOnAfterOnline = "goes-on-after-online",
    /// The driver works once a block went offline, before 5.11.
    GoesOnAfterOffline = "goes-on-after-offline",
    /// The driver gives back what it could not add.
    GivesBack = "gives-back",
    /// The driver takes from an offline block, in runs from the top.
    TakesOffline = "takes-offline",
    /// The driver takes from a partial block in the movable zone.
    TakesPartialMovable = "takes-partial-movable",
    /// The driver takes from a partial block in a kernel zone.
    TakesPartialKernel = "takes-partial-kernel",
    /// The driver takes from a whole block in the movable zone.
    TakesMovable = "takes-movable",
    /// The driver takes from a whole block in a kernel zone.
    TakesKernel = "takes-kernel",
    /// The driver takes a whole block at once.
    TakesABlockAtOnce = "takes-a-block-at-once",
    /// The driver passes over what holds a page that nobody can move.
    PassesOverHeld = "passes-over-held",
    /// Linux keeps a block of which nothing is plugged.
    EmptyBlockStays = "empty-block-stays",
    /// The driver removes empty blocks that it could not remove before.
    EmptyBlockGoesLater = "empty-block-goes-later",
    /// The driver adds a big block that it has never had.
    NewBigBlock = "new-big-block",
    /// The driver adds a big block that it had before.
    UsedBigBlock = "used-big-block",
    /// The driver removes a big block that is offline.
    OfflineBigBlockGoes = "offline-big-block-goes",
    /// The driver removes a big block that is movable.
    MovableBigBlockGoes = "movable-big-block-goes",
    /// The driver removes a big block with kernel memory.
    KernelBigBlockGoes = "kernel-big-block-goes",
    /// A block keeps its big block, of which all others come back.
    BigBlockStays = "big-block-stays",
    /// A big block that Linux has removed, and the device has not taken, is given back later.
    LeftoverIsGivenBack = "leftover-is-given-back",
    /// This release's driver does not take the device.
    DeviceIsNotTaken = "device-is-not-taken",
    /// A PLUG that is answered NACK is sent again.
    NackIsTriedAgain = "nack-is-tried-again",
    /// An answer makes the driver wait for its timer.
    AnswerStopsDriver = "answer-stops-driver",
    /// An answer makes the driver give its device up.
    ErrorBreaksDriver = "error-breaks-driver",
    /// The driver's timer lets it try again.
    TimerTriesAgain = "timer-tries-again",
    /// A page is taken for broken.
    PageBreaks = "page-breaks",
    /// A page that is broken already is refused.
    BrokenAlready = "broken-already",
    /// A page of an offline block cannot break.
    OfflineCannotBreak = "offline-cannot-break",
    /// A block with a broken page stays offline.
    BrokenStaysOffline = "broken-stays-offline",
    /// A block that goes online forgets its broken pages.
    BrokenIsForgotten = "broken-is-forgotten",
    /// Broken pages count no more when their block is removed.
    BrokenIsRemoved = "broken-is-removed",
    /// A reset takes back what was set at run time.
    ResetForgets = "reset-forgets",
}

/// A set of rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Met(u128);

const _: () = assert!(Rule::ALL.len() <= 128, "each rule has a bit");

impl Met {
    /// None.
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds one.
    pub const fn add(&mut self, rule: Rule) {
        self.0 |= 1 << rule as u32;
    }

    /// Adds all of another set.
    pub const fn add_all(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether it has one.
    pub const fn has(self, rule: Rule) -> bool {
        self.0 & (1 << rule as u32) != 0
    }

    /// Those that another set does not have.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// How many there are.
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Each of them, in the order of the list.
    pub fn iter(self) -> impl Iterator<Item = Rule> {
        Rule::ALL.iter().copied().filter(move |rule| self.has(*rule))
    }
}

impl Memory {
    /// Notes that a rule has decided something.
    pub const fn meet(&mut self, rule: Rule) {
        self.met.add(rule);
    }
}
