//! The areas of guest-physical address space that can hold memory.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dimmer_devices::memory::GuestRange;
use dimmer_devices::written::{Pages, Written};

use crate::audit::AreaKind;
use crate::layout::Layout;
use crate::machine::mapping::{Bound, Mapping};
use crate::spec::{MachineSpec, WindowSpec};

/// The owner of boot RAM.
pub const BOOT: &str = "boot";
/// The owner of other memory in the firmware's memory map.
pub const FIRMWARE: &str = "firmware";

/// What becomes of the guest's writes to an area, and of what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// It is memory of the machine's, which a reset empties, and which snapshots have.
    Ram,
    /// It is in a file, and stays there.
    Persistent,
    /// Likewise, and can only be read; devices do not reach it.
    ReadOnly,
}

/// What an area is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Memory that is there as long as the machine; this is its owner.
    Fixed(&'static str),
    /// DIMMs.
    Dimms,
    /// One virtio-mem device.
    VirtioMem {
        /// Its id.
        id: String,
        /// Largest KVM memory slot in bytes.
        slot_size: u64,
    },
    /// Persistent memory, which is there as long as the machine.
    Pmem {
        /// Its id.
        id: String,
        /// Whether the guest can only read it.
        readonly: bool,
    },
}

impl Purpose {
    /// What becomes of what is written there.
    pub const fn keeping(&self) -> Keeping {
        match self {
            Self::Fixed(_) | Self::Dimms | Self::VirtioMem { .. } => Keeping::Ram,
            Self::Pmem { readonly: false, .. } => Keeping::Persistent,
            Self::Pmem { readonly: true, .. } => Keeping::ReadOnly,
        }
    }

    /// Whose it is from the beginning to the end of the machine.
    pub fn owner(&self) -> Option<&str> {
        match self {
            Self::Fixed(owner) => Some(owner),
            Self::Pmem { id, .. } => Some(id),
            Self::Dimms | Self::VirtioMem { .. } => None,
        }
    }

    /// What it is called in the audit.
    pub fn kind(&self) -> AreaKind {
        match self {
            Self::Fixed(FIRMWARE) => AreaKind::Firmware,
            Self::Fixed(_) => AreaKind::Boot,
            Self::Dimms => AreaKind::Dimms,
            Self::VirtioMem { .. } => AreaKind::VirtioMem,
            Self::Pmem { .. } => AreaKind::Pmem,
        }
    }
}

/// An area as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AreaSpec {
    /// Where it lies.
    pub range: GuestRange,
    /// What it is for.
    pub purpose: Purpose,
}

impl AreaSpec {
    /// The areas of a machine: boot RAM, other memory of the firmware's map, one for each window, then persistent memory.
    pub fn all(spec: &MachineSpec, layout: &Layout) -> Vec<Self> {
        let fixed = |owner| move |range: GuestRange| Self { range, purpose: Purpose::Fixed(owner) };
        let boot = layout.ram.iter().copied().map(fixed(BOOT));
        let backed = layout.firmware.iter().filter(|piece| piece.kind.has_memory());
        let backed = backed.map(|piece| piece.range).map(fixed(FIRMWARE));
        let windows = spec.windows.iter().zip(&layout.windows).map(|(window, range)| {
            let purpose = match window {
                WindowSpec::Acpi { .. } => Purpose::Dimms,
                WindowSpec::VirtioMem(mem) => {
                    Purpose::VirtioMem { id: mem.id.clone(), slot_size: mem.slot_size }
                }
            };
            Self { range: *range, purpose }
        });
        let pmems = spec.pmems.iter().zip(&layout.pmems).map(|(pmem, range)| {
            let purpose = Purpose::Pmem { id: pmem.id.clone(), readonly: pmem.readonly };
            Self { range: *range, purpose }
        });
        boot.chain(backed).chain(windows).chain(pmems).collect()
    }
}

/// An area with its address space on the host.
#[derive(Debug)]
pub struct Area {
    /// Where it lies.
    pub range: GuestRange,
    /// What it is for.
    pub purpose: Purpose,
    /// Its address space.
    pub mapping: Mapping,
    /// Which pages were written since a snapshot.
    pub pages: Arc<Pages>,
    /// Accesses of the guest to addresses where nothing is plugged.
    strays: AtomicU64,
}

impl Area {
    /// An area that holds nothing.
    pub fn new(AreaSpec { range, purpose }: AreaSpec, mapping: Mapping) -> Self {
        let pages = Arc::new(Pages::new(range.size));
        Self { range, purpose, mapping, pages, strays: AtomicU64::new(0) }
    }

    /// The size of the cells that KVM memory slots are cut to (see [`super::slots`]).
    pub fn grain(&self) -> Option<u64> {
        match self.purpose {
            Purpose::VirtioMem { slot_size, .. } => Some(slot_size),
            Purpose::Fixed(_) | Purpose::Dimms | Purpose::Pmem { .. } => None,
        }
    }

    /// Where `range`, which lies in the area, is within its address space.
    pub fn part(&self, range: GuestRange) -> Range<u64> {
        range.start - self.range.start..range.end() - self.range.start
    }

    /// The guest-physical range of a part of the address space.
    pub fn range_of(&self, part: &Range<u64>) -> GuestRange {
        GuestRange::new(self.range.start + part.start, part.end - part.start)
    }

    /// The host address behind a guest-physical address of the area.
    pub fn host(&self, address: u64) -> *mut u8 {
        self.mapping.address(address - self.range.start)
    }

    /// Where it is marked what is written from a guest-physical address of the area on.
    pub fn written(&self, address: u64) -> Written {
        Written::new(&self.pages, address - self.range.start)
    }

    /// Parts of the area that are bound to nodes of the host.
    pub fn bound(&self, bindings: Vec<(GuestRange, Vec<u32>)>) -> Vec<Bound> {
        bindings.into_iter().map(|(range, nodes)| Bound { part: self.part(range), nodes }).collect()
    }

    /// Whether an address, any address, lies in the area.
    pub const fn holds(&self, address: u64) -> bool {
        self.range.start <= address && address < self.range.end()
    }

    /// Counts one access to an address where nothing is plugged.
    pub fn stray(&self) {
        self.strays.fetch_add(1, Ordering::Relaxed);
    }

    /// There were so many before.
    pub fn set_strays(&self, strays: u64) {
        self.strays.store(strays, Ordering::Relaxed);
    }

    /// Such accesses so far.
    pub fn strays(&self) -> u64 {
        self.strays.load(Ordering::Relaxed)
    }
}
