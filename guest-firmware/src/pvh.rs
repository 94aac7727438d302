//! `hvm_start_info` and what it points to, which a kernel finds at its PVH entry point (Xen's
//! docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h).

use linux_loader::configurator::pvh::PvhBootConfigurator;
use linux_loader::configurator::{BootConfigurator, BootParams, Error};
use linux_loader::loader::elf::start_info::{hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info};
use vm_memory::{GuestAddress, GuestMemoryBackend};

use crate::Handover;
use crate::layout::{PVH_MEMORY_MAP_START, PVH_MODULES_START, PVH_START_INFO_START};

/// "xEn3" with the highest bit of the E set.
const MAGIC: u32 = 0x336e_c578;
/// First version with a memory map.
const VERSION: u32 = 1;

/// Puts `hvm_start_info`, the module list and the memory map into `memory`.
pub(crate) fn write<M: GuestMemoryBackend>(memory: &M, handover: &Handover) -> Result<(), Error> {
    let modules: Vec<_> = handover
        .initramfs
        .iter()
        .map(|initramfs| hvm_modlist_entry {
            paddr: initramfs.start.into(),
            size: initramfs.size.into(),
            ..Default::default()
        })
        .collect();
    let memory_map: Vec<_> = handover
        .memory_map
        .iter()
        .map(|entry| hvm_memmap_table_entry {
            addr: entry.start,
            size: entry.size,
            type_: entry.kind.number(),
            reserved: 0,
        })
        .collect();
    let start_info = start_info(handover, modules.len(), memory_map.len());
    let mut params = BootParams::new(&start_info, GuestAddress(PVH_START_INFO_START));
    params.set_sections(&memory_map, GuestAddress(PVH_MEMORY_MAP_START));
    if !modules.is_empty() {
        params.set_modules(&modules, GuestAddress(PVH_MODULES_START));
    }
    PvhBootConfigurator::write_bootparams(&params, memory)
}

fn start_info(handover: &Handover, modules: usize, memory_map: usize) -> hvm_start_info {
    let count = |length| u32::try_from(length).expect("the lists have at most 128 entries");
    hvm_start_info {
        magic: MAGIC,
        version: VERSION,
        flags: 0,
        nr_modules: count(modules),
        modlist_paddr: PVH_MODULES_START,
        cmdline_paddr: handover.cmdline.into(),
        rsdp_paddr: handover.rsdp,
        memmap_paddr: PVH_MEMORY_MAP_START,
        memmap_entries: count(memory_map),
        reserved: 0,
    }
}
