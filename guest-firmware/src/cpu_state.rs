//! What the first processor's registers hold when the kernel starts: plain data, which the VMM
//! copies field by field into its own structures.

use crate::layout::{GDT_DESCRIPTORS, GDT_START, PAGE_TABLES_START};

/// Registers of the first processor. All general registers that are not mentioned are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuState {
    /// First instruction.
    pub rip: u64,
    /// Address of `hvm_start_info` for a PVH kernel, else 0.
    pub rbx: u64,
    /// Address of `boot_params` for a 64-bit entry, else 0.
    pub rsi: u64,
    /// Flags: interrupts disabled.
    pub rflags: u64,
    /// Control register 0.
    pub cr0: u64,
    /// Control register 3.
    pub cr3: u64,
    /// Control register 4.
    pub cr4: u64,
    /// The EFER model-specific register.
    pub efer: u64,
    /// Code segment.
    pub cs: Segment,
    /// Data segment; also for ES, FS, GS and SS.
    pub ds: Segment,
    /// Task register.
    pub tr: Segment,
    /// Local descriptor table; not present.
    pub ldt: Segment,
    /// Global descriptor table.
    pub gdt: Table,
    /// Interrupt descriptor table; empty.
    pub idt: Table,
}

/// A segment register with the descriptor behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Segment {
    /// Offset in the descriptor table.
    pub selector: u16,
    /// First address.
    pub base: u64,
    /// Last offset in bytes, whatever the granularity.
    pub limit: u32,
    /// Type field of the descriptor.
    pub type_: u8,
    /// Whether it may be used; when it is not present, it is unusable.
    pub present: bool,
    /// Privilege level.
    pub dpl: u8,
    /// 32-bit rather than 16-bit.
    pub db: bool,
    /// Code or data rather than a system segment.
    pub s: bool,
    /// 64-bit code.
    pub l: bool,
    /// Limit of the descriptor counts pages rather than bytes.
    pub g: bool,
}

/// A descriptor table register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Table {
    /// First address.
    pub base: u64,
    /// Last offset in bytes.
    pub limit: u16,
}

/// Selectors that the 64-bit boot protocol prescribes, and one for the task register.
const BOOT_CS: u16 = 0x10;
const BOOT_DS: u16 = 0x18;
const BOOT_TR: u16 = 0x20;

const CODE_READ_ACCESSED: u8 = 0xb;
const DATA_WRITE_ACCESSED: u8 = 0x3;
const TSS_BUSY: u8 = 0xb;

/// The bit of RFLAGS that is always set.
const RFLAGS_FIXED: u64 = 1 << 1;
const CR0_PROTECTION: u64 = 1 << 0;
/// Always 1.
const CR0_EXTENSION_TYPE: u64 = 1 << 4;
const CR0_PAGING: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const EFER_LONG_MODE: u64 = (1 << 8) | (1 << 10); // enabled and active

impl CpuState {
    /// 64-bit mode with the page tables of [`crate::paging`], as the Linux boot protocol wants it
    /// at its 64-bit entry point (Documentation/arch/x86/boot.rst, "64-bit Boot Protocol").
    pub(crate) fn long_mode(entry: u64, boot_params: u64) -> Self {
        Self {
            rsi: boot_params,
            cr0: CR0_PROTECTION | CR0_EXTENSION_TYPE | CR0_PAGING,
            cr3: PAGE_TABLES_START,
            cr4: CR4_PAE,
            efer: EFER_LONG_MODE,
            ..Self::flat(entry, Segment { db: false, l: true, ..Segment::code() })
        }
    }

    /// 32-bit protected mode without paging, as the PVH protocol wants it.
    pub(crate) fn protected_mode(entry: u64, start_info: u64) -> Self {
        Self { rbx: start_info, ..Self::flat(entry, Segment::code()) }
    }

    /// Protected mode with segments that cover all 4 GiB.
    fn flat(entry: u64, cs: Segment) -> Self {
        Self {
            rip: entry,
            rbx: 0,
            rsi: 0,
            rflags: RFLAGS_FIXED,
            cr0: CR0_PROTECTION | CR0_EXTENSION_TYPE,
            cr3: 0,
            cr4: 0,
            efer: 0,
            cs,
            ds: Segment::data(),
            tr: Segment::task(),
            ldt: Segment::default(),
            gdt: Table { base: GDT_START, limit: GDT_DESCRIPTORS * 8 - 1 },
            idt: Table::default(),
        }
    }

    /// The descriptor table that [`gdt`](Self::gdt) points to.
    pub(crate) fn descriptors(&self) -> [u64; GDT_DESCRIPTORS as usize] {
        let mut table = [0; GDT_DESCRIPTORS as usize];
        for segment in [self.cs, self.ds, self.tr] {
            table[usize::from(segment.selector) / 8] = segment.descriptor();
        }
        table
    }
}

impl Segment {
    fn code() -> Self {
        Self { selector: BOOT_CS, type_: CODE_READ_ACCESSED, ..Self::data() }
    }

    fn data() -> Self {
        Self {
            selector: BOOT_DS,
            base: 0,
            limit: u32::MAX,
            type_: DATA_WRITE_ACCESSED,
            present: true,
            dpl: 0,
            db: true,
            s: true,
            l: false,
            g: true,
        }
    }

    /// A task register must be usable, though nothing uses it.
    fn task() -> Self {
        Self { selector: BOOT_TR, limit: 0x67, type_: TSS_BUSY, present: true, ..Self::default() }
    }

    /// The segment as a descriptor of 8 bytes (Intel SDM, volume 3, section 3.4.5).
    fn descriptor(&self) -> u64 {
        let limit = u64::from(if self.g { self.limit >> 12 } else { self.limit });
        let bit = |value: bool, position: u32| u64::from(value) << position;
        (limit & 0xffff)
            | ((self.base & 0xff_ffff) << 16)
            | (u64::from(self.type_) << 40)
            | bit(self.s, 44)
            | (u64::from(self.dpl) << 45)
            | bit(self.present, 47)
            | (((limit >> 16) & 0xf) << 48)
            | bit(self.l, 53)
            | bit(self.db, 54)
            | bit(self.g, 55)
            | (((self.base >> 24) & 0xff) << 56)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_mode_is_what_the_64_bit_protocol_asks_for() {
        let state = CpuState::long_mode(0x100_0200, 0x7000);
        assert_eq!((state.rip, state.rsi, state.rbx), (0x100_0200, 0x7000, 0));
        assert_eq!((state.cr0, state.cr4, state.efer, state.rflags), (0x8000_0011, 0x20, 0x500, 2));
        assert_eq!((state.cs.selector, state.ds.selector), (0x10, 0x18));
        let table = [0, 0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0x0000_8b00_0000_0067];
        assert_eq!(state.descriptors(), table);
        assert_eq!(state.gdt, Table { base: 0x500, limit: 39 });
    }

    #[test]
    fn protected_mode_is_what_pvh_asks_for() {
        let state = CpuState::protected_mode(0x100_0a30, 0x6000);
        assert_eq!((state.rip, state.rbx, state.rsi), (0x100_0a30, 0x6000, 0));
        assert_eq!((state.cr0, state.cr3, state.cr4, state.efer, state.rflags), (0x11, 0, 0, 0, 2));
        assert_eq!((state.cs.base, state.cs.limit, state.cs.l, state.cs.db), (0, u32::MAX, false, true));
        assert_eq!((state.tr.limit, state.tr.type_, state.ldt.present), (0x67, 0xb, false));
        let table = [0, 0, 0x00cf_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0x0000_8b00_0000_0067];
        assert_eq!(state.descriptors(), table);
    }
}
