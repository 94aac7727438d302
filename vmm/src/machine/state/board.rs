//! The interrupt controllers' state: out of KVM, and into it again.

use kvm_bindings::{KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, kvm_irqchip};
use kvm_ioctls::VmFd;

use super::StateProblem;
use crate::machine::kvm_error::{KvmError, at};

const CHIPS: [u32; 3] = [KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, KVM_IRQCHIP_IOAPIC];

/// The state of both 8259s and the I/O APIC.
pub fn save(vm: &VmFd) -> Result<[kvm_irqchip; 3], KvmError> {
    let mut chips = CHIPS.map(|chip_id| kvm_irqchip { chip_id, ..Default::default() });
    for chip in &mut chips {
        vm.get_irqchip(chip).map_err(at("read an interrupt controller"))?;
    }
    Ok(chips)
}

/// Gives them their state. The local APICs have theirs: what waits in the I/O APIC goes on to them at once. Lines that are
/// high are driven afterwards.
pub fn restore(vm: &VmFd, chips: &[kvm_irqchip; 3]) -> Result<(), StateProblem> {
    if !chips.iter().map(|chip| chip.chip_id).eq(CHIPS) {
        return Err(StateProblem::Differs("the interrupt controllers are not those of a PC".to_owned()));
    }
    for chip in chips {
        vm.set_irqchip(chip).map_err(at("set an interrupt controller"))?;
    }
    Ok(())
}
