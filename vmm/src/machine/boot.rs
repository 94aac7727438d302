//! Puts kernel, initramfs, boot parameters, ACPI tables and generation ID into guest memory.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Mutex;

use dimmer_acpi::platform::Platform;
use dimmer_acpi::power;
use dimmer_devices::bus::lock;
use dimmer_devices::memory_map::MemoryMap;
use dimmer_guest_firmware::{
    self as firmware, Acpi, Boot, CpuState, E820Entry, Image, ImageError, Kind, ResetRegister,
};

use super::generation::GenerationId;
use crate::layout::{FirmwareRange, Layout};
use crate::snapshot::state::{FileMark, FilesState};
use crate::spec::{FirmwareRangeKind, MachineSpec};
use crate::units::Bytes;

/// The kernel, or what belongs to it, cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A file cannot be opened.
    #[error("{flag}: {error}")]
    Image {
        /// The flag that names it.
        flag: &'static str,
        /// What is wrong.
        #[source]
        error: ImageError,
    },
    /// It cannot be loaded.
    #[error("{flag}: {error}")]
    Load {
        /// The flag it came from.
        flag: &'static str,
        /// What is wrong.
        #[source]
        error: firmware::Error,
    },
}

/// The files that are booted. They stay open, so that a reset boots what the machine was started
/// with.
#[derive(Debug)]
pub struct Files {
    kernel: Image,
    initramfs: Option<Image>,
    /// What they were last marked with.
    known: Mutex<Option<FilesState>>,
}

/// Marks a file that was opened at a path, and may be known.
type Mark = fn(&Path, &File, Option<&FileMark>) -> io::Result<FileMark>;

/// What is booted, besides the files.
#[derive(Debug, Clone, Copy)]
pub struct Booted<'a> {
    /// The kernel's command line.
    pub cmdline: &'a str,
    /// Where memory lies.
    pub layout: &'a Layout,
    /// What the ACPI tables say.
    pub platform: &'a Platform,
    /// The machine's generation ID.
    pub generation_id: GenerationId,
}

impl Files {
    /// Opens what `spec` names.
    ///
    /// # Errors
    /// [`BootError::Image`] names the flag.
    pub fn open(spec: &MachineSpec) -> Result<Self, BootError> {
        let open = |flag, path| Image::open(path).map_err(|error| BootError::Image { flag, error });
        let initramfs = spec.initramfs.as_ref().map(|path| open("--initramfs", path)).transpose()?;
        Ok(Self { kernel: open("--kernel", &spec.kernel)?, initramfs, known: Mutex::default() })
    }

    /// By what the files are known again; `how` marks one of them.
    ///
    /// # Errors
    /// What the host says.
    pub fn marks(&self, how: Mark) -> io::Result<FilesState> {
        let mut all = lock(&self.known);
        let known = all.as_ref();
        let mark = |image: &Image, known| how(image.path(), image.file(), known);
        let kernel = mark(&self.kernel, known.map(|known| &known.kernel))?;
        let known = known.and_then(|known| known.initramfs.as_ref());
        let initramfs = self.initramfs.as_ref().map(|image| mark(image, known)).transpose()?;
        let marks = FilesState { kernel, initramfs };
        if marks.kernel.xxh64.is_some() {
            *all = Some(marks.clone());
        }
        Ok(marks)
    }

    /// Complains unless these are the files that were marked.
    ///
    /// # Errors
    /// The flag that names the other one, and in what that differs.
    pub fn check(&self, marks: &FilesState) -> Result<(), String> {
        let check = |flag: &str, mark: &FileMark, image: &Image| {
            mark.check(image.file()).map_err(|what| format!("{flag} {}: {what}", image.path().display()))
        };
        check("--kernel", &marks.kernel, &self.kernel)?;
        match (&marks.initramfs, &self.initramfs) {
            (Some(mark), Some(image)) => check("--initramfs", mark, image)?,
            (None, None) => {}
            _ => {
                return Err(
                    "--initramfs: a machine with an initramfs and one without are not the same".to_owned()
                );
            }
        }
        *lock(&self.known) = Some(marks.clone());
        Ok(())
    }

    /// Says what may go wrong with windows for memory devices that lie far behind RAM, if the kernel may be one with KASLR.
    pub fn warn_of_far_windows(&self, spec: &MachineSpec, layout: &Layout) {
        let reach = layout.reach_with_kaslr();
        let far = layout.windows.iter().find(|window| window.end() > reach);
        let off = spec.cmdline.split_whitespace().any(|word| word == "nokaslr");
        if let Some(window) = far.filter(|_| !off && firmware::unpacks_itself(&self.kernel)) {
            tracing::warn!(
                "--memory-hotplug: the window up to {:#x} reaches beyond {}, where kernels with KASLR may have no addresses \
                 for memory: those of 2024 and 2025 refuse it, and earlier ones map it over something else; nokaslr in \
                 --cmdline helps",
                window.end(),
                Bytes(reach)
            );
        }
    }

    /// Loads everything into `memory`, which reads as zeroes; returns the boot CPU's registers.
    ///
    /// # Errors
    /// [`BootError::Load`] names the flag.
    pub fn load(&self, booted: &Booted<'_>, memory: &MemoryMap) -> Result<CpuState, BootError> {
        let Booted { cmdline, layout, platform, generation_id } = *booted;
        let ram: Vec<_> = layout.ram.iter().map(|range| (range.start, range.size)).collect();
        let ranges: Vec<_> = layout.firmware.iter().map(entry).collect();
        let tables = dimmer_acpi::tables(platform, firmware::ACPI_START);
        let boot = Boot {
            kernel: &self.kernel,
            initramfs: self.initramfs.as_ref(),
            cmdline,
            ram: &ram,
            ranges: &ranges,
            acpi: Acpi { bytes: &tables.bytes, base: tables.base, rsdp: tables.rsdp },
            generation_id: generation_id.bytes(),
            reset: ResetRegister { port: platform.power_port + power::RESET, value: power::RESET_VALUE },
        };
        firmware::load(memory, &boot).map_err(|error| BootError::Load { flag: flag_of(&error), error })
    }
}

/// A range as the memory map has it.
const fn entry(piece: &FirmwareRange) -> E820Entry {
    let kind = match piece.kind {
        FirmwareRangeKind::Pmem => Kind::LegacyPmem,
        FirmwareRangeKind::Nvdimm => Kind::Pmem,
        FirmwareRangeKind::Reserved => Kind::Reserved,
        FirmwareRangeKind::SoftReserved => Kind::SoftReserved,
    };
    E820Entry { start: piece.range.start, size: piece.range.size, kind }
}

/// Where the user would mend the error.
const fn flag_of(error: &firmware::Error) -> &'static str {
    match error {
        firmware::Error::Kernel { .. } => "--kernel",
        firmware::Error::InitramfsTooLarge { .. } | firmware::Error::Initramfs { .. } => "--initramfs",
        firmware::Error::CmdlineTooLong { .. } | firmware::Error::CmdlineNul { .. } => "--cmdline",
        firmware::Error::NoLowRam
        | firmware::Error::AcpiTooLarge { .. }
        | firmware::Error::MemoryMapTooLong { .. }
        | firmware::Error::Memory(_)
        | firmware::Error::BootParameters(_) => "--memory",
    }
}
