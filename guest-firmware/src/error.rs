//! Why a machine cannot boot.

use std::io;
use std::path::PathBuf;

use vm_memory::GuestMemoryError;

use crate::kernel::KernelError;
use crate::layout::{self, ACPI_SIZE, ACPI_START};

/// Why a machine cannot boot; always the user's choice of files and sizes, but for
/// [`Memory`](Self::Memory).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No RAM for a kernel.
    #[error("RAM must reach from address 0 to beyond 1 MiB, where kernels are loaded")]
    NoLowRam,
    /// The kernel is not one that can be booted here.
    #[error("The kernel {} cannot be booted", path.display())]
    Kernel {
        /// The kernel.
        path: PathBuf,
        /// Why not.
        source: KernelError,
    },
    /// The command line is longer than this kernel takes.
    #[error("The command line has {actual} bytes, and this kernel takes at most {limit}")]
    CmdlineTooLong {
        /// Its length in bytes.
        actual: u64,
        /// Most bytes that are possible.
        limit: u64,
    },
    /// The command line would end early.
    #[error("The command line has a NUL at byte {position}, where the kernel would take it to end")]
    CmdlineNul {
        /// Position in bytes.
        position: usize,
    },
    /// The initramfs does not fit between the kernel and the end of low RAM.
    #[error("The initramfs {} has {size} bytes, and beside the kernel only {available} bytes of the {ram} bytes of low RAM are left for it", path.display())]
    InitramfsTooLarge {
        /// The initramfs.
        path: PathBuf,
        /// Its length in bytes.
        size: u64,
        /// Bytes that can hold an initramfs.
        available: u64,
        /// Bytes of RAM below 4 GiB.
        ram: u64,
    },
    /// The initramfs cannot be copied into guest memory.
    #[error("The initramfs {} cannot be read", path.display())]
    Initramfs {
        /// The initramfs.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// More tables than there is room for.
    #[error(
        "The ACPI tables at {base:#x} have {size} bytes, and their place is {ACPI_SIZE} bytes from {ACPI_START:#x}"
    )]
    AcpiTooLarge {
        /// First address.
        base: u64,
        /// Length in bytes.
        size: u64,
    },
    /// RAM in too many pieces.
    #[error(
        "The memory map has {entries} entries, and a kernel takes at most {}",
        layout::MEMORY_MAP_ENTRIES
    )]
    MemoryMapTooLong {
        /// Number of entries.
        entries: usize,
    },
    /// Guest memory is not where `Boot::ram` says.
    #[error("Guest memory cannot be written")]
    Memory(#[from] GuestMemoryError),
    /// Guest memory is not where `Boot::ram` says.
    #[error("The boot parameters cannot be written to guest memory")]
    BootParameters(#[from] linux_loader::configurator::Error),
}
