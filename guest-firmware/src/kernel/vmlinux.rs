//! An ELF vmlinux, started at its PVH entry point (Xen's docs/misc/pvh.pandoc).

use std::ops::Range;

use linux_loader::elf::{
    EI_CLASS, EI_DATA, ELFCLASS64, ELFDATA2LSB, ELFMAG, EM_X86_64, Elf64_Ehdr, Elf64_Phdr, PT_LOAD, PT_NOTE,
};
use linux_loader::loader::{Elf, KernelLoader, PvhBootCapability};
use vm_memory::{ByteValued, GuestMemoryBackend};

use super::{Entry, KernelError, check_size};
use crate::image::Image;
use crate::layout::{HIGH_RAM_START, LOW_RAM_LIMIT};

/// Longest note segment that is searched for the entry point; a kernel's has some 100 bytes.
const MAX_NOTES: u64 = 1 << 16;

/// Linux's `COMMAND_LINE_SIZE` without the NUL. An ELF file does not say what it takes.
const CMDLINE_LIMIT: u64 = 2047;

/// A sound vmlinux. That it has a PVH entry point turns out when it is loaded.
#[derive(Debug)]
pub(crate) struct Vmlinux {
    /// Physical addresses of what is loaded.
    segments: Vec<Range<u64>>,
}

impl Vmlinux {
    /// Checks the headers of `image`; `None` when it is no ELF file at all.
    pub(crate) fn inspect(image: &Image) -> Result<Option<Self>, KernelError> {
        let mut magic = [0; 4];
        if image.size() < 4 {
            return Ok(None);
        }
        image.read_at(0, &mut magic).map_err(KernelError::Read)?;
        if magic != *ELFMAG {
            return Ok(None);
        }
        let header = file_header(image)?;
        let mut segments = Vec::new();
        for index in 0..header.e_phnum {
            segments.extend(check_segment(image, &segment(image, &header, index)?)?);
        }
        if segments.is_empty() {
            let (what, value) = ("the number of program headers to load", 0);
            return Err(KernelError::Damaged { what, value });
        }
        Ok(Some(Self { segments }))
    }

    pub(crate) fn end(&self) -> u64 {
        self.segments.iter().map(|segment| segment.end).max().unwrap_or(0)
    }

    pub(crate) fn cmdline_limit(&self) -> u64 {
        CMDLINE_LIMIT
    }

    pub(crate) fn initramfs_limit(&self) -> u64 {
        LOW_RAM_LIMIT
    }

    pub(crate) fn load<M: GuestMemoryBackend>(
        &self,
        image: &Image,
        memory: &M,
    ) -> Result<Entry, KernelError> {
        let mut reader = image.reader().map_err(KernelError::Read)?;
        // No offset: with one, the loader would ignore the PVH entry point.
        let loaded = Elf::load(memory, None, &mut reader, None).map_err(KernelError::Load)?;
        let PvhBootCapability::PvhEntryPresent(address) = loaded.pvh_boot_cap else {
            return Err(KernelError::NoPvhEntry);
        };
        let address = address.0;
        if !self.segments.iter().any(|segment| segment.contains(&address)) {
            return Err(KernelError::EntryOutside { address });
        }
        Ok(Entry::Pvh { address })
    }
}

/// The file's header, which is one for this machine.
fn file_header(image: &Image) -> Result<Elf64_Ehdr, KernelError> {
    check_size(image, size_of::<Elf64_Ehdr>() as u64)?;
    let mut header = Elf64_Ehdr::default();
    image.read_at(0, header.as_mut_slice()).map_err(KernelError::Read)?;
    let (class, data) = (header.e_ident[EI_CLASS], header.e_ident[EI_DATA]);
    let machine = header.e_machine;
    if (class, data, machine) != (ELFCLASS64, ELFDATA2LSB, EM_X86_64) {
        return Err(KernelError::NotX86_64 { class, data, machine });
    }
    if usize::from(header.e_phentsize) != size_of::<Elf64_Phdr>() {
        let (what, value) = ("the size of a program header", header.e_phentsize.into());
        return Err(KernelError::Damaged { what, value });
    }
    Ok(header)
}

/// The header of segment `index`.
fn segment(image: &Image, header: &Elf64_Ehdr, index: u16) -> Result<Elf64_Phdr, KernelError> {
    let mut segment = Elf64_Phdr::default();
    let size = size_of::<Elf64_Phdr>() as u64;
    let offset = header.e_phoff.saturating_add(u64::from(index) * size);
    check_size(image, offset.saturating_add(size))?;
    image.read_at(offset, segment.as_mut_slice()).map_err(KernelError::Read)?;
    Ok(segment)
}

/// That the segment is whole and can be where it wants to be; returns where that is, if it is loaded.
fn check_segment(image: &Image, segment: &Elf64_Phdr) -> Result<Option<Range<u64>>, KernelError> {
    let Elf64_Phdr { p_filesz, p_memsz, p_paddr, .. } = *segment;
    check_size(image, segment.p_offset.saturating_add(p_filesz))?;
    match segment.p_type {
        PT_NOTE if p_filesz > MAX_NOTES => {
            Err(KernelError::Damaged { what: "the size of a note segment", value: p_filesz })
        }
        PT_LOAD if p_filesz > p_memsz => {
            Err(KernelError::Damaged { what: "the size of a segment in memory", value: p_memsz })
        }
        PT_LOAD if p_memsz > 0 && p_paddr < HIGH_RAM_START => Err(KernelError::TooLow { start: p_paddr }),
        PT_LOAD if p_memsz > 0 => Ok(Some(p_paddr..p_paddr.saturating_add(p_memsz))),
        _ => Ok(None),
    }
}
