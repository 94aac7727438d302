//! `boot_params`, which a kernel finds at its 64-bit entry point (Documentation/arch/x86/zero-page.rst
//! in Linux).

use linux_loader::configurator::linux::LinuxBootConfigurator;
use linux_loader::configurator::{BootConfigurator, BootParams, Error};
use linux_loader::loader::bootparam::{boot_e820_entry, boot_params, setup_header};
use vm_memory::{GuestAddress, GuestMemoryBackend};

use crate::Handover;
use crate::layout::BOOT_PARAMS_START;
use dimmer_plan::memory_map::E820Entry;

/// A boot loader without a number of its own.
const UNDEFINED_LOADER: u8 = 0xff;

/// Puts `boot_params` for a kernel with this setup header into `memory`.
pub(crate) fn write<M: GuestMemoryBackend>(
    memory: &M,
    header: &setup_header,
    handover: &Handover,
) -> Result<(), Error> {
    let params = boot_params_of(header, handover);
    LinuxBootConfigurator::write_bootparams(
        &BootParams::new(&params, GuestAddress(BOOT_PARAMS_START)),
        memory,
    )
}

fn boot_params_of(header: &setup_header, handover: &Handover) -> boot_params {
    let mut params = boot_params { hdr: *header, acpi_rsdp_addr: handover.rsdp, ..Default::default() };
    params.hdr.type_of_loader = UNDEFINED_LOADER;
    params.hdr.cmd_line_ptr = handover.cmdline;
    if let Some(initramfs) = &handover.initramfs {
        params.hdr.ramdisk_image = initramfs.start;
        params.hdr.ramdisk_size = initramfs.size;
    }
    for (slot, entry) in params.e820_table.iter_mut().zip(&handover.memory_map) {
        *slot = e820_entry(entry);
        params.e820_entries += 1;
    }
    params
}

fn e820_entry(entry: &E820Entry) -> boot_e820_entry {
    boot_e820_entry { addr: entry.start, size: entry.size, r#type: entry.kind.number() }
}
