//! A bzImage, started at its 64-bit entry point (Documentation/arch/x86/boot.rst in Linux).

use linux_loader::loader::KernelLoader;
use linux_loader::loader::bootparam::setup_header;
use linux_loader::loader::bzimage;
use vm_memory::{ByteValued, GuestAddress, GuestMemoryBackend};

use super::{Entry, KernelError, check_size};
use crate::image::Image;
use crate::layout::HIGH_RAM_START;

/// Where the setup header is in the file.
const HEADER_OFFSET: u64 = 0x1f1;
/// "HdrS".
const MAGIC: u32 = 0x5372_6448;
/// First version of the protocol whose header says whether there is a 64-bit entry point.
const VERSION: u16 = 0x020c;
/// Flag in `xloadflags`: there is a 64-bit entry point, 0x200 behind the load address.
const XLF_KERNEL_64: u16 = 1 << 0;
const ENTRY_OFFSET: u64 = 0x200;
/// Number of setup sectors that 0 stands for.
const DEFAULT_SETUP_SECTORS: u8 = 4;
const SECTOR: u64 = 512;
/// Unit of `syssize` in bytes.
const PARAGRAPH: u64 = 16;

/// A sound bzImage.
///
/// It is loaded at its preferred address. A relocatable kernel could be anywhere, but it moves
/// itself there before it does anything else.
#[derive(Debug)]
pub(crate) struct BzImage {
    header: setup_header,
    end: u64,
}

impl BzImage {
    /// Checks the headers of `image`; `None` when it is no bzImage at all.
    pub(crate) fn inspect(image: &Image) -> Result<Option<Self>, KernelError> {
        let mut header = setup_header::default();
        if image.size() < HEADER_OFFSET + size_of::<setup_header>() as u64 {
            return Self::inspect_fragment(image);
        }
        image.read_at(HEADER_OFFSET, header.as_mut_slice()).map_err(KernelError::Read)?;
        if header.header != MAGIC {
            return Ok(None);
        }
        let (version, start) = (header.version, header.pref_address);
        if version < VERSION {
            return Err(KernelError::OldProtocol { version });
        }
        if header.xloadflags & XLF_KERNEL_64 == 0 {
            return Err(KernelError::No64BitEntry);
        }
        check_size(image, setup_size(&header) + u64::from(header.syssize) * PARAGRAPH)?;
        if start < HIGH_RAM_START {
            return Err(KernelError::TooLow { start });
        }
        // Signatures may follow what `syssize` counts, and are loaded with it.
        let loaded = image.size() - setup_size(&header);
        if loaded > u64::from(header.init_size) {
            return Err(KernelError::Damaged { what: "init_size", value: header.init_size.into() });
        }
        let end = start.checked_add(header.init_size.into());
        let end = end.ok_or(KernelError::Damaged { what: "pref_address", value: start })?;
        if u64::from(header.init_size) <= ENTRY_OFFSET {
            return Err(KernelError::EntryOutside { address: start + ENTRY_OFFSET });
        }
        Ok(Some(Self { header, end }))
    }

    /// A file that is too short for a whole header is still a bzImage when the magic is there.
    fn inspect_fragment(image: &Image) -> Result<Option<Self>, KernelError> {
        const MAGIC_OFFSET: u64 = 0x202;
        let announced = HEADER_OFFSET + size_of::<setup_header>() as u64;
        let mut magic = [0; 4];
        if image.size() < MAGIC_OFFSET + 4 {
            return Ok(None);
        }
        image.read_at(MAGIC_OFFSET, &mut magic).map_err(KernelError::Read)?;
        if u32::from_le_bytes(magic) != MAGIC {
            return Ok(None);
        }
        Err(KernelError::Truncated { announced, actual: image.size() })
    }

    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    pub(crate) fn cmdline_limit(&self) -> u64 {
        self.header.cmdline_size.into()
    }

    pub(crate) fn initramfs_limit(&self) -> u64 {
        u64::from(self.header.initrd_addr_max) + 1
    }

    pub(crate) fn load<M: GuestMemoryBackend>(
        &self,
        image: &Image,
        memory: &M,
    ) -> Result<Entry, KernelError> {
        let start = self.header.pref_address;
        let mut reader = image.reader().map_err(KernelError::Read)?;
        bzimage::BzImage::load(memory, Some(GuestAddress(start)), &mut reader, None)
            .map_err(KernelError::Load)?;
        Ok(Entry::LongMode { address: start + ENTRY_OFFSET, header: Box::new(self.header) })
    }
}

/// Bytes before the part of the file that is loaded.
fn setup_size(header: &setup_header) -> u64 {
    let sectors = if header.setup_sects == 0 { DEFAULT_SETUP_SECTORS } else { header.setup_sects };
    (u64::from(sectors) + 1) * SECTOR
}
