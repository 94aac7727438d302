//! The state a vCPU starts with: CPUID, the few MSRs firmware would have set, the local APIC's
//! pins, and on the boot CPU the registers that the boot protocol asks for.

use dimmer_guest_firmware::{CpuState, Segment, Table};
use kvm_bindings::{CpuId, Msrs, kvm_dtable, kvm_msr_entry, kvm_regs, kvm_segment};
use kvm_ioctls::VcpuFd;

use super::board::Board;
use super::kvm_error::{KvmError, at};
use super::{cpu_vendor, mce};
use crate::spec::CpuVendor;
use crate::topology::Topology;

/// IA32_MISC_ENABLE, and in it "fast string operations" (Intel SDM volume 4, table 2-2).
const MISC_ENABLE: (u32, u64) = (0x1a0, 1);
/// IA32_MTRR_DEF_TYPE: enabled, all memory write-back, as firmware leaves it.
const MTRR_DEF_TYPE: (u32, u64) = (0x2ff, (1 << 11) | 6);

/// Gives a fresh vCPU its state; `boot` is the boot CPU's, the others wait for their start-up
/// interrupt.
///
/// # Errors
/// [`KvmError`] names the step that KVM refused.
pub fn set_up(
    board: &Board,
    vcpu: &VcpuFd,
    apic_id: u32,
    topology: &Topology,
    boot: Option<&CpuState>,
) -> Result<(), KvmError> {
    let cpuid = cpuid(board.cpuid(), apic_id, topology);
    vcpu.set_cpuid2(&cpuid).map_err(at("set CPUID"))?;
    mce::set_up(vcpu, board.mcg_cap()).map_err(at("set up machine checks"))?;
    set_msrs(vcpu)?;
    set_local_apic_pins(vcpu)?;
    boot.map_or(Ok(()), |state| set_registers(vcpu, state))
}

/// KVM's CPUID with this vCPU's place in it.
pub fn cpuid(supported: &CpuId, apic_id: u32, topology: &Topology) -> CpuId {
    let mut cpuid = supported.clone();
    let intel = cpu_vendor::of(supported) == Some(CpuVendor::Intel);
    let Topology { core_bits, cores, .. } = *topology;
    for entry in cpuid.as_mut_slice() {
        match (entry.function, entry.index) {
            // Initial APIC id, logical processors of the package, CLFLUSH line; hypervisor,
            // TSC-deadline timer.
            (1, _) => {
                entry.ebx = (apic_id << 24) | (cores.min(255) << 16) | (8 << 8);
                entry.ecx |= (1 << 31) | (1 << 24);
                entry.edx = set_bit(entry.edx, 28, cores > 1);
                // Machine checks, their exception and their registers: see `mce`.
                entry.edx |= (1 << 7) | (1 << 14);
            }
            // Deterministic caches: cores of the package; caches are not shared.
            (4, _) => entry.eax = (entry.eax & 0x3fff) | ((cores - 1).min(63) << 26),
            // Extended topology: one thread in a core, then all cores of the package.
            (0xb | 0x1f, 0) => (entry.eax, entry.ebx, entry.ecx, entry.edx) = (0, 1, 1 << 8, apic_id),
            (0xb | 0x1f, 1) => {
                (entry.eax, entry.ebx, entry.ecx, entry.edx) = (core_bits, cores, (2 << 8) | 1, apic_id);
            }
            (0xb | 0x1f, other) => (entry.eax, entry.ebx, entry.ecx, entry.edx) = (0, 0, other, apic_id),
            // AMD: cores of the package, bits of the APIC id that count them.
            (0x8000_0008, _) if !intel => entry.ecx = (core_bits << 12) | (cores - 1).min(255),
            // AMD: extended APIC id, one thread in a core, a node for each package.
            (0x8000_001e, _) => {
                (entry.eax, entry.ebx, entry.ecx) = (apic_id, apic_id & 0xff, (apic_id >> core_bits) & 0xff);
            }
            _ => {}
        }
    }
    cpuid
}

const fn set_bit(word: u32, bit: u32, on: bool) -> u32 {
    if on { word | (1 << bit) } else { word & !(1 << bit) }
}

fn set_msrs(vcpu: &VcpuFd) -> Result<(), KvmError> {
    let entry = |(index, data)| kvm_msr_entry { index, data, ..Default::default() };
    let msrs = Msrs::from_entries(&[MISC_ENABLE, MTRR_DEF_TYPE].map(entry)).expect("two entries fit");
    vcpu.set_msrs(&msrs).map_err(at("set MSRs"))?;
    Ok(())
}

/// The local vector table's LINT0 and LINT1 (Intel SDM volume 3, section 11.5.1) as firmware leaves
/// them on a machine without an 8259: nothing comes in through LINT0, the NMI through LINT1.
/// Without this KVM leaves LINT0 open for an 8259, and Linux would keep it so.
const LOCAL_APIC_PINS: [(usize, u32); 2] = [(0x350, (1 << 16) | (7 << 8)), (0x360, 4 << 8)];

fn set_local_apic_pins(vcpu: &VcpuFd) -> Result<(), KvmError> {
    let mut lapic = vcpu.get_lapic().map_err(at("read the local APIC"))?;
    for (register, value) in LOCAL_APIC_PINS {
        for (place, byte) in lapic.regs[register..].iter_mut().zip(value.to_le_bytes()) {
            *place = std::ffi::c_char::from_le_bytes([byte]);
        }
    }
    vcpu.set_lapic(&lapic).map_err(at("set the local APIC"))
}

fn set_registers(vcpu: &VcpuFd, state: &CpuState) -> Result<(), KvmError> {
    let mut sregs = vcpu.get_sregs().map_err(at("read system registers"))?;
    sregs.cs = segment(&state.cs);
    for data in [&mut sregs.ds, &mut sregs.es, &mut sregs.fs, &mut sregs.gs, &mut sregs.ss] {
        *data = segment(&state.ds);
    }
    (sregs.tr, sregs.ldt) = (segment(&state.tr), segment(&state.ldt));
    (sregs.gdt, sregs.idt) = (table(&state.gdt), table(&state.idt));
    (sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer) = (state.cr0, state.cr3, state.cr4, state.efer);
    vcpu.set_sregs(&sregs).map_err(at("set system registers"))?;
    let regs = kvm_regs {
        rip: state.rip,
        rbx: state.rbx,
        rsi: state.rsi,
        rflags: state.rflags,
        ..Default::default()
    };
    vcpu.set_regs(&regs).map_err(at("set registers"))
}

fn segment(segment: &Segment) -> kvm_segment {
    kvm_segment {
        base: segment.base,
        limit: segment.limit,
        selector: segment.selector,
        type_: segment.type_,
        present: segment.present.into(),
        unusable: (!segment.present).into(),
        dpl: segment.dpl,
        db: segment.db.into(),
        s: segment.s.into(),
        l: segment.l.into(),
        g: segment.g.into(),
        ..Default::default()
    }
}

fn table(table: &Table) -> kvm_dtable {
    kvm_dtable { base: table.base, limit: table.limit, ..Default::default() }
}
