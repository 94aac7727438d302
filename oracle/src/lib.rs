//! The oracle: an executable model of what Linux on x86-64 does with memory blocks, zones and memory groups when
//! memory comes and goes.
//!
//! It is pure: it knows the machine as it was specified and the history of steps, and never looks at a guest, a file
//! or a clock. Each block that it predicts has a reason, with the numbers that decided ([`words::why`]).
//! `examples/layout.rs` shows it at work.
//!
//! ```text
//!   boot ──► memory (blocks, zones, groups) ◄── policy (which zone, and why)
//!                ▲
//!             linux: adds and removes blocks for
//!                ├── ACPI memory devices (linux::dimm)
//!                ├── memory that a driver manages (linux::dax)
//!                └── virtio-mem devices  (virtio_mem)
//! ```
//!
//! Where each rule is in Linux, and since which release; earlier ones as [`release`] says:
//!
//! | rule | here | in Linux | since |
//! |---|---|---|---|
//! | the size of memory blocks | [`boot::BootMemory::block_size`] | arch/x86/mm/init_64.c, `probe_memory_block_size` | 5.10 |
//! | boot memory, holes, the zones of its blocks | [`boot`] | mm/mm_init.c; drivers/base/memory.c, `early_node_zone_for_memory_block` | 5.10; zones kept since 5.18 |
//! | `kernelcore=`, `movablecore=` | [`boot::movable`] | mm/mm_init.c, `find_zone_movable_pfns_for_nodes` | 5.10 |
//! | which zone a block goes to | [`policy`] | mm/memory_hotplug.c, `zone_for_pfn_range`, `default_zone_for_pfn` | 5.10 |
//! | policy auto-movable, ratio, nodes | [`policy`] | mm/memory_hotplug.c, `auto_movable_zone_for_pfn`, `auto_movable_can_online_movable` | 5.15 |
//! | memory groups | [`group`] | drivers/base/memory.c, `memory_group_register` | 5.15 |
//! | how far zones span after a change | [`zone`] | mm/memory_hotplug.c, `shrink_zone_span`, `resize_zone_range` | 5.10 |
//! | the words of `valid_zones` | [`memory`] | drivers/base/memory.c, `valid_zones_show` | 5.10 |
//! | online, offline, the files `state` and `online` | [`linux`] | drivers/base/memory.c, `memory_block_online`, `memory_subsys_offline` | 5.10 |
//! | ACPI memory devices, ejection, `_OST` | [`linux::dimm`] | drivers/acpi/acpi_memhotplug.c; drivers/acpi/scan.c, `acpi_scan_hot_remove` | 5.10; kept until `_STA` clears since 6.9 |
//! | memmap in the device itself | [`linux::dimm`] | mm/memory_hotplug.c, `mhp_supports_memmap_on_memory` | 5.13; every block since 6.6 |
//! | soft-reserved memory, `kmem` | [`linux::dax`] | drivers/dax/kmem.c, `dev_dax_kmem_probe`, `dev_dax_kmem_remove` | 5.10; one group a device since 5.15 |
//! | virtio-mem, blocks below memory blocks | [`virtio_mem::sbm`] | drivers/virtio/virtio_mem.c, `virtio_mem_sbm_plug_request`, `_unplug_request` | 5.10 |
//! | virtio-mem, larger blocks | [`virtio_mem::bbm`] | drivers/virtio/virtio_mem.c, `virtio_mem_bbm_plug_request`, `_unplug_request` | 5.11 |
//! | what memory costs, and whether it can be paid | [`cost`] | mm/sparse-vmemmap.c, `vmemmap_populate_hugepages`; mm/memory_hotplug.c, `__add_pages` | 5.10 |
//! | how far KASLR lets memory be | [`kaslr`] | arch/x86/mm/kaslr.c, `kernel_randomize_memory`; mm/memory_hotplug.c, `mhp_range_allowed` | 5.10; checked since 6.11 |
//! | poisoned pages | [`poison`] | mm/memory-failure.c, `memory_failure` | 5.10; blocks with some refused since 6.2 |

pub mod absent;
pub mod boot;
pub mod chance;
pub mod cost;
pub mod faults;
pub mod group;
pub mod kaslr;
pub mod linux;
pub mod memory;
pub mod mistake;
pub mod poison;
pub mod policy;
pub mod release;
pub mod rule;
#[cfg(test)]
mod tests;
pub mod virtio_mem;
pub mod words;
pub mod zone;
