//! What firmware would have left behind for a directly booted kernel: the kernel and its initramfs
//! in memory, the memory map, the ACPI tables, the generation ID, the command line, and the first
//! processor's registers. It knows no device and no KVM.
//!
//! [`load`] does all of it; it is called again, with the same input, for each start of the machine. A
//! machine that goes on where another one stopped gets nothing but a [generation ID](write_generation_id).

use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

pub use dimmer_plan::memory_map::{E820Entry, Kind, memory_map};

pub use cpu_state::{CpuState, Segment, Table};
pub use error::Error;
pub use image::{Image, ImageError};
pub use kernel::KernelError;
use kernel::{Entry, Kernel};
pub use layout::{ACPI_SIZE, ACPI_START, GENERATION_ID_SIZE, GENERATION_ID_START};
pub use reset_vector::ResetRegister;

mod boot_params;
mod cpu_state;
mod error;
mod image;
mod kernel;
pub mod layout;
mod paging;
mod pvh;
mod reset_vector;

/// What a machine boots.
#[derive(Debug, Clone, Copy)]
pub struct Boot<'a> {
    /// A bzImage or an ELF vmlinux.
    pub kernel: &'a Image,
    /// Initial RAM file system.
    pub initramfs: Option<&'a Image>,
    /// Kernel command line.
    pub cmdline: &'a str,
    /// Boot RAM as pairs of first address and length in bytes: ascending, without overlap, the
    /// first from address 0.
    pub ram: &'a [(u64, u64)],
    /// What else the memory map lists: above 1 MiB, without overlap.
    pub ranges: &'a [E820Entry],
    /// The ACPI tables.
    pub acpi: Acpi<'a>,
    /// The generation ID.
    pub generation_id: [u8; GENERATION_ID_SIZE],
    /// How the guest resets the machine.
    pub reset: ResetRegister,
}

/// ACPI tables and the place that they were made for.
#[derive(Debug, Clone, Copy)]
pub struct Acpi<'a> {
    /// The tables.
    pub bytes: &'a [u8],
    /// Guest-physical address that they belong at, from [`ACPI_START`].
    pub base: u64,
    /// Guest-physical address of the RSDP.
    pub rsdp: u64,
}

/// What a kernel is told, whichever way it is started.
#[derive(Debug)]
struct Handover {
    cmdline: u32,
    initramfs: Option<Placed>,
    memory_map: Vec<E820Entry>,
    rsdp: u64,
}

/// Where the initramfs is in guest memory; both protocols have room for 32 bits.
#[derive(Debug, Clone, Copy)]
struct Placed {
    start: u32,
    size: u32,
}

/// Whether `image` is a kernel that unpacks itself (a bzImage), and so can lay out its address space at random.
pub fn unpacks_itself(image: &Image) -> bool {
    kernel::Kernel::inspect(image).is_ok_and(|kernel| kernel.unpacks_itself())
}

/// Puts everything that `boot` names into `memory` and returns the registers to start with.
///
/// All RAM must read as zeroes, as the kernel expects of its own `.bss`. After an error `memory` is
/// to be thrown away.
pub fn load<M: GuestMemoryBackend>(memory: &M, boot: &Boot<'_>) -> Result<CpuState, Error> {
    let kernel_error = |source| Error::Kernel { path: boot.kernel.path().to_owned(), source };
    let ram_end = layout::low_ram_end(boot.ram).ok_or(Error::NoLowRam)?;
    let kernel = Kernel::inspect(boot.kernel).map_err(kernel_error)?;
    if kernel.end() > ram_end {
        let (needed, available) = (kernel.end(), ram_end);
        return Err(kernel_error(KernelError::DoesNotFit { needed, available }));
    }
    check_cmdline(boot.cmdline, kernel.cmdline_limit())?;
    let handover = Handover {
        cmdline: u32::try_from(layout::CMDLINE_START).expect("it is in the first MiB"),
        initramfs: place_initramfs(boot, &kernel, ram_end)?,
        memory_map: checked_memory_map(boot)?,
        rsdp: boot.acpi.rsdp,
    };

    let entry = kernel.load(boot.kernel, memory).map_err(kernel_error)?;
    if let (Some(image), Some(placed)) = (boot.initramfs, handover.initramfs) {
        image
            .copy_to(memory, placed.start.into())
            .map_err(|source| Error::Initramfs { path: image.path().to_owned(), source })?;
    }
    memory.write_slice(boot.cmdline.as_bytes(), GuestAddress(layout::CMDLINE_START))?;
    write_acpi(memory, &boot.acpi)?;
    write_generation_id(memory, boot.generation_id)?;
    memory.write_slice(&reset_vector::code(boot.reset), GuestAddress(layout::RESET_VECTOR_START))?;
    hand_over(memory, &entry, &handover)
}

/// Puts the generation ID into its place at [`GENERATION_ID_START`].
pub fn write_generation_id<M: GuestMemoryBackend>(
    memory: &M,
    id: [u8; GENERATION_ID_SIZE],
) -> Result<(), Error> {
    Ok(memory.write_slice(&id, GuestAddress(GENERATION_ID_START))?)
}

/// Writes what the kernel's protocol asks for.
fn hand_over<M: GuestMemoryBackend>(
    memory: &M,
    entry: &Entry,
    handover: &Handover,
) -> Result<CpuState, Error> {
    let state = match entry {
        Entry::LongMode { address, header } => {
            boot_params::write(memory, header, handover)?;
            write_words(memory, layout::PAGE_TABLES_START, &paging::identity_map())?;
            CpuState::long_mode(*address, layout::BOOT_PARAMS_START)
        }
        Entry::Pvh { address } => {
            pvh::write(memory, handover)?;
            CpuState::protected_mode(*address, layout::PVH_START_INFO_START)
        }
    };
    write_words(memory, layout::GDT_START, &state.descriptors())?;
    Ok(state)
}

/// `limit` is the kernel's; there is also an end to the room for command lines.
fn check_cmdline(cmdline: &str, limit: u64) -> Result<(), Error> {
    let (actual, limit) = (cmdline.len() as u64, limit.min(layout::CMDLINE_SIZE - 1));
    if actual > limit {
        return Err(Error::CmdlineTooLong { actual, limit });
    }
    match cmdline.find('\0') {
        Some(position) => Err(Error::CmdlineNul { position }),
        None => Ok(()),
    }
}

/// Finds the place of the initramfs: as high in low RAM as the kernel allows, on a page boundary.
fn place_initramfs(boot: &Boot<'_>, kernel: &Kernel, ram_end: u64) -> Result<Option<Placed>, Error> {
    const PAGE: u64 = 0x1000;
    let Some(image) = boot.initramfs else { return Ok(None) };
    let (size, limit) = (image.size(), ram_end.min(kernel.initramfs_limit()));
    let lowest = kernel.end().next_multiple_of(PAGE);
    let highest = limit.checked_sub(size).map(|start| start / PAGE * PAGE);
    let placed = highest
        .filter(|start| *start >= lowest)
        .and_then(|start| Some(Placed { start: start.try_into().ok()?, size: size.try_into().ok()? }));
    match placed {
        Some(placed) => Ok(Some(placed)),
        None => Err(Error::InitramfsTooLarge {
            path: image.path().to_owned(),
            size,
            available: limit.saturating_sub(lowest),
            ram: ram_end,
        }),
    }
}

fn checked_memory_map(boot: &Boot<'_>) -> Result<Vec<E820Entry>, Error> {
    let map = memory_map(boot.ram, boot.ranges);
    if map.len() > layout::MEMORY_MAP_ENTRIES {
        return Err(Error::MemoryMapTooLong { entries: map.len() });
    }
    Ok(map)
}

fn write_acpi<M: GuestMemoryBackend>(memory: &M, acpi: &Acpi<'_>) -> Result<(), Error> {
    let (base, size) = (acpi.base, acpi.bytes.len() as u64);
    if base < ACPI_START || base.saturating_add(size) > ACPI_START + ACPI_SIZE {
        return Err(Error::AcpiTooLarge { base, size });
    }
    memory.write_slice(acpi.bytes, GuestAddress(base))?;
    copy_rsdp(memory, acpi)
}

/// Leaves the RSDP where it is looked for, see [`layout::RSDP_COPY_START`].
fn copy_rsdp<M: GuestMemoryBackend>(memory: &M, acpi: &Acpi<'_>) -> Result<(), Error> {
    let before = usize::try_from(acpi.rsdp.saturating_sub(acpi.base)).unwrap_or(usize::MAX);
    let rsdp = acpi.bytes.iter().copied().skip(before).take(layout::RSDP_COPY_SIZE);
    memory.write_slice(&rsdp.collect::<Vec<_>>(), GuestAddress(layout::RSDP_COPY_START))?;
    let segment = u16::try_from(layout::EBDA_START >> 4).expect("it is in the first MiB");
    Ok(memory.write_slice(&segment.to_le_bytes(), GuestAddress(layout::EBDA_POINTER_START))?)
}

fn write_words<M: GuestMemoryBackend>(memory: &M, start: u64, words: &[u64]) -> Result<(), Error> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    Ok(memory.write_slice(&bytes, GuestAddress(start))?)
}
