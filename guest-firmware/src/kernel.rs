//! The two kinds of kernel, told apart by content, and where each wants to be.

use std::io;

use linux_loader::loader::bootparam::setup_header;
use vm_memory::GuestMemoryBackend;

use crate::image::Image;
use crate::layout::HIGH_RAM_START;

mod bzimage;
mod vmlinux;

pub(crate) use bzimage::BzImage;
pub(crate) use vmlinux::Vmlinux;

/// Why a file cannot be booted.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// Neither of the two formats.
    #[error(
        "It is neither a bzImage (no \"HdrS\" at offset 0x202) nor an ELF vmlinux (no ELF magic at offset 0)"
    )]
    Unknown,
    /// The host refused to read the file.
    #[error("It cannot be read")]
    Read(#[source] io::Error),
    /// The file ends before what its headers announce.
    #[error("It is truncated: its headers announce {announced} bytes, and the file has {actual}")]
    Truncated {
        /// Bytes that must be there.
        announced: u64,
        /// Length of the file in bytes.
        actual: u64,
    },
    /// A bzImage from before Linux 3.8.
    #[error("It speaks version {}.{:02} of the Linux boot protocol, and 2.12 is the oldest with a 64-bit entry point", version >> 8, version & 0xff)]
    OldProtocol {
        /// Major version in the high byte, minor version in the low byte.
        version: u16,
    },
    /// A bzImage without a 64-bit entry point.
    #[error("It is a bzImage without a 64-bit entry point, as 32-bit kernels are")]
    No64BitEntry,
    /// An ELF file that is not for this machine.
    #[error(
        "It is an ELF file, but not a little-endian one of 64 bits for x86-64 (class {class}, data {data}, machine {machine})"
    )]
    NotX86_64 {
        /// Byte `EI_CLASS`; 2 is 64-bit.
        class: u8,
        /// Byte `EI_DATA`; 1 is little-endian.
        data: u8,
        /// Field `e_machine`; 62 is x86-64.
        machine: u16,
    },
    /// A header field that no kernel has.
    #[error("Its headers are damaged: {what} is {value:#x}")]
    Damaged {
        /// The field.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// A part of the kernel wants to be where it cannot be.
    #[error("It wants to be loaded at {start:#x}, and no kernel can be loaded below {HIGH_RAM_START:#x}")]
    TooLow {
        /// Physical address.
        start: u64,
    },
    /// A vmlinux without the entry point that a VMM can use.
    #[error("It is an ELF vmlinux without a PVH entry point: a kernel built with CONFIG_PVH=y has one")]
    NoPvhEntry,
    /// An entry point at which nothing of the kernel is.
    #[error("Its entry point is at {address:#x}, where nothing of it is loaded")]
    EntryOutside {
        /// Physical address.
        address: u64,
    },
    /// Not enough RAM.
    #[error("It needs RAM up to address {needed:#x} to start, and low RAM ends at {available:#x}")]
    DoesNotFit {
        /// First address behind what the kernel needs.
        needed: u64,
        /// First address behind low RAM.
        available: u64,
    },
    /// The copy into guest memory failed.
    #[error("It cannot be copied into guest memory")]
    Load(#[source] linux_loader::loader::Error),
}

/// A kernel whose headers were found sound.
#[derive(Debug)]
pub(crate) enum Kernel {
    BzImage(BzImage),
    Vmlinux(Vmlinux),
}

/// How a loaded kernel is started.
#[derive(Debug)]
pub(crate) enum Entry {
    /// In 64-bit mode, with `boot_params` around this header.
    LongMode { address: u64, header: Box<setup_header> },
    /// In 32-bit mode, with `hvm_start_info`.
    Pvh { address: u64 },
}

impl Kernel {
    /// Finds out what `image` is, and that it is whole.
    pub(crate) fn inspect(image: &Image) -> Result<Self, KernelError> {
        if let Some(vmlinux) = Vmlinux::inspect(image)? {
            return Ok(Self::Vmlinux(vmlinux));
        }
        let bzimage = BzImage::inspect(image)?.ok_or(KernelError::Unknown)?;
        Ok(Self::BzImage(bzimage))
    }

    /// Whether it unpacks itself, and so can lay out its address space at random.
    pub(crate) const fn unpacks_itself(&self) -> bool {
        matches!(self, Self::BzImage(_))
    }

    /// First address behind the memory that the kernel takes until it manages memory itself.
    pub(crate) fn end(&self) -> u64 {
        match self {
            Self::BzImage(kernel) => kernel.end(),
            Self::Vmlinux(kernel) => kernel.end(),
        }
    }

    /// Most bytes that the command line can have, without the NUL.
    pub(crate) fn cmdline_limit(&self) -> u64 {
        match self {
            Self::BzImage(kernel) => kernel.cmdline_limit(),
            Self::Vmlinux(kernel) => kernel.cmdline_limit(),
        }
    }

    /// The address that the initramfs must end at or below.
    pub(crate) fn initramfs_limit(&self) -> u64 {
        match self {
            Self::BzImage(kernel) => kernel.initramfs_limit(),
            Self::Vmlinux(kernel) => kernel.initramfs_limit(),
        }
    }

    /// Copies the kernel into `memory`, which holds [`end`](Self::end).
    pub(crate) fn load<M: GuestMemoryBackend>(
        &self,
        image: &Image,
        memory: &M,
    ) -> Result<Entry, KernelError> {
        match self {
            Self::BzImage(kernel) => kernel.load(image, memory),
            Self::Vmlinux(kernel) => kernel.load(image, memory),
        }
    }
}

/// That the file has as many bytes as its headers announce.
fn check_size(image: &Image, announced: u64) -> Result<(), KernelError> {
    if announced > image.size() {
        return Err(KernelError::Truncated { announced, actual: image.size() });
    }
    Ok(())
}
