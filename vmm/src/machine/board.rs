//! The KVM side of the machine: VM, interrupt controllers, CPUID. A reset makes a new VM, so no
//! state of the old one is left behind; devices and memory keep their handle on the board.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use dimmer_devices::bus::lock;
use dimmer_devices::irq::IrqLine;
use dimmer_devices::memory::GuestRange;
use kvm_bindings::{
    CpuId, KVM_CAP_DISABLE_QUIRKS2, KVM_IOAPIC_NUM_PINS, KVM_IRQ_ROUTING_IRQCHIP, KVM_IRQCHIP_IOAPIC,
    KVM_MAX_CPUID_ENTRIES, KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY, KVM_X86_QUIRK_SLOT_ZAP_ALL,
    KvmIrqRouting, kvm_enable_cap, kvm_irq_routing_entry, kvm_irq_routing_entry__bindgen_ty_1,
    kvm_irq_routing_irqchip, kvm_userspace_memory_region,
};
use kvm_ioctls::{Cap, Kvm, VcpuFd, VmFd};

use super::cpu_nested;
use super::cpu_vendor::{self, NoSuchVendor};
use super::kvm_error::{KvmError, at};
use super::mce::kvm::{answer_capabilities, capabilities};
use super::ram::{MemorySlots, Writes, most_runs};
use super::state::msrs;
use crate::layout;
use crate::spec::CpuVendor;

/// There is no board to be had.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// KVM refused.
    #[error(transparent)]
    Kvm(#[from] KvmError),
    /// KVM here has no such processors.
    #[error(transparent)]
    Vendor(#[from] NoSuchVendor),
}

/// One VM after the other, each with the same interrupt controllers and CPUID.
#[derive(Debug)]
pub struct Board {
    kvm: Kvm,
    vm: RwLock<Arc<VmFd>>,
    pins: Mutex<Vec<Weak<Pin>>>,
    cpuid: CpuId,
    mcg_cap: u64,
    msrs: Vec<u32>,
    most_slots: usize,
}

impl Board {
    /// Makes the first VM of `kvm`, whose processors are `vendor`'s; the host's when `None`. With
    /// `nested` they show their virtualization.
    ///
    /// # Errors
    /// [`BoardError`] names the step that failed.
    pub fn new(kvm: Kvm, vendor: Option<CpuVendor>, nested: bool) -> Result<Self, BoardError> {
        let cpuid = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).map_err(at("supported CPUID"))?;
        let cpuid = cpu_vendor::present(cpuid, vendor)?;
        let cpuid = if nested { cpuid } else { cpu_nested::hide(cpuid) };
        let mcg_cap = capabilities(&kvm).map_err(at("supported machine checks"))?;
        let msrs = msrs::numbers(&kvm, mcg_cap)?;
        let vm = RwLock::new(Arc::new(new_vm(&kvm, &cpuid)?));
        let most_slots = kvm.get_nr_memslots().min(most_runs());
        Ok(Self { kvm, vm, pins: Mutex::default(), cpuid, mcg_cap, msrs, most_slots })
    }

    /// Replaces the VM by a fresh one without memory and vCPUs, with every [`Pin`] as high or low as it
    /// was. The caller has ended all vCPU threads, and gives the new VM its memory afterwards.
    ///
    /// # Errors
    /// [`KvmError`] names the step that failed; the old VM stays.
    pub fn replace(&self) -> Result<(), KvmError> {
        let vm = Arc::new(new_vm(&self.kvm, &self.cpuid)?);
        *self.vm.write().unwrap_or_else(PoisonError::into_inner) = vm;
        self.drive_pins();
        Ok(())
    }

    /// Tells the VM's interrupt controllers, which do not know it, of every [`Pin`] that is high.
    pub fn drive_pins(&self) {
        let pins: Vec<_> = lock(&self.pins).iter().filter_map(Weak::upgrade).collect();
        pins.iter().filter(|pin| pin.high.load(Ordering::SeqCst)).for_each(|pin| pin.drive(true));
    }

    /// The present VM.
    pub fn vm(&self) -> Arc<VmFd> {
        self.vm.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The CPUID that KVM can give a guest, as the guest's vendor says it.
    pub fn cpuid(&self) -> &CpuId {
        &self.cpuid
    }

    /// Physical address bits of the guest's CPUs: CPUID 8000_0008, EAX bits 0-7.
    pub fn address_bits(&self) -> u8 {
        let entry = self.cpuid.as_slice().iter().find(|entry| entry.function == 0x8000_0008);
        entry.map_or(36, |entry| entry.eax.to_le_bytes()[0])
    }

    /// IA32_MCG_CAP of the guest's CPUs.
    pub fn mcg_cap(&self) -> u64 {
        self.mcg_cap
    }

    /// The model-specific registers that a vCPU's state consists of.
    pub fn msrs(&self) -> &[u32] {
        &self.msrs
    }

    /// Most vCPUs of a VM.
    pub fn max_vcpus(&self) -> usize {
        self.kvm.get_max_vcpus()
    }

    /// A vCPU of the present VM.
    ///
    /// # Errors
    /// [`KvmError`] when KVM refuses.
    pub fn vcpu(&self, index: u32) -> Result<VcpuFd, KvmError> {
        self.vm().create_vcpu(index.into()).map_err(at("create a vCPU"))
    }

    /// Adds, changes or (size 0) deletes a memory slot.
    ///
    /// # Errors
    /// [`KvmError`] when KVM refuses; nothing has changed then.
    ///
    /// # Safety
    /// `region` must name host memory that stays mapped for as long as the slot exists.
    #[expect(unsafe_code, reason = "hands host memory to KVM")]
    pub unsafe fn set_memory(&self, region: kvm_userspace_memory_region) -> Result<(), KvmError> {
        // SAFETY: the caller keeps the host memory mapped.
        unsafe { self.vm().set_user_memory_region(region) }.map_err(at("set a memory slot"))
    }
}

fn new_vm(kvm: &Kvm, cpuid: &CpuId) -> Result<VmFd, KvmError> {
    let vm = kvm.create_vm().map_err(at("create a VM"))?;
    if vm.check_extension(Cap::SetTssAddr) {
        let page = usize::try_from(layout::KVM_TSS).expect("an address below 4 GiB");
        vm.set_tss_address(page).map_err(at("place the task state segment"))?;
    }
    if vm.check_extension(Cap::SetIdentityMapAddr) {
        vm.set_identity_map_address(layout::KVM_IDENTITY_MAP).map_err(at("place the identity map"))?;
    }
    if cpu_vendor::of(cpuid) == Some(CpuVendor::Intel) {
        answer_capabilities(&vm).map_err(at("take over a machine-check register"))?;
    }
    keep_other_slots_mapped(&vm).map_err(at("have deleted memory slots leave the others mapped"))?;
    vm.create_irq_chip().map_err(at("create the interrupt controllers"))?;
    vm.set_gsi_routing(&io_apic_routing()).map_err(at("route interrupts"))?;
    Ok(vm)
}

/// Has KVM forget the guest's mappings of a memory slot alone when that slot is deleted, not those of all its memory, where
/// it can (since Linux 6.12; `KVM_CAP_DISABLE_QUIRKS2` in its documentation, section 7.32): each of the guest's processors
/// would have to fault in again whatever it uses after each unplug.
fn keep_other_slots_mapped(vm: &VmFd) -> Result<(), kvm_ioctls::Error> {
    let known = vm.check_extension_raw(KVM_CAP_DISABLE_QUIRKS2.into());
    if u32::try_from(known).is_ok_and(|known| known & KVM_X86_QUIRK_SLOT_ZAP_ALL != 0) {
        let args = [KVM_X86_QUIRK_SLOT_ZAP_ALL.into(), 0, 0, 0];
        vm.enable_cap(&kvm_enable_cap { cap: KVM_CAP_DISABLE_QUIRKS2, args, ..Default::default() })?;
    }
    Ok(())
}

/// Every interrupt goes to the I/O APIC pin of its number and nowhere else. KVM's own routing also
/// raises the 8259s, which a hardware-reduced machine does not have and Linux then never masks.
fn io_apic_routing() -> KvmIrqRouting {
    let entry = |gsi: u32| kvm_irq_routing_entry {
        gsi,
        type_: KVM_IRQ_ROUTING_IRQCHIP,
        u: kvm_irq_routing_entry__bindgen_ty_1 {
            irqchip: kvm_irq_routing_irqchip { irqchip: KVM_IRQCHIP_IOAPIC, pin: gsi },
        },
        ..Default::default()
    };
    let entries: Vec<_> = (0..KVM_IOAPIC_NUM_PINS).map(entry).collect();
    KvmIrqRouting::from_entries(&entries).expect("24 entries fit")
}

/// A pin of the I/O APIC.
#[derive(Debug)]
pub struct Pin {
    board: Arc<Board>,
    gsi: u32,
    high: AtomicBool,
}

impl Pin {
    /// Pin `gsi`, low.
    pub fn new(board: &Arc<Board>, gsi: u32) -> Arc<Self> {
        let pin = Arc::new(Self { board: board.clone(), gsi, high: AtomicBool::new(false) });
        lock(&board.pins).push(Arc::downgrade(&pin));
        pin
    }

    fn drive(&self, high: bool) {
        if let Err(error) = self.board.vm().set_irq_line(self.gsi, high) {
            tracing::warn!("interrupt {}: {error}", self.gsi);
        }
    }
}

impl IrqLine for Pin {
    fn set(&self, high: bool) {
        if self.high.swap(high, Ordering::SeqCst) == high {
            return;
        }
        self.drive(high);
    }
}

#[expect(unsafe_code, reason = "hands host memory to KVM")]
impl MemorySlots for Board {
    fn most(&self) -> usize {
        self.most_slots
    }

    unsafe fn add(
        &self,
        number: u32,
        range: GuestRange,
        host: *mut u8,
        writes: Writes,
    ) -> Result<(), KvmError> {
        let region = kvm_userspace_memory_region {
            slot: number,
            flags: match writes {
                Writes::Free => 0,
                Writes::Logged => KVM_MEM_LOG_DIRTY_PAGES,
                Writes::Refused => KVM_MEM_READONLY,
            },
            guest_phys_addr: range.start,
            memory_size: range.size,
            userspace_addr: host.addr() as u64,
        };
        // SAFETY: the caller keeps the memory.
        unsafe { self.set_memory(region) }
    }

    fn delete(&self, number: u32) -> Result<(), KvmError> {
        let region = kvm_userspace_memory_region { slot: number, ..Default::default() };
        // SAFETY: size 0 deletes the slot; no memory is named.
        unsafe { self.set_memory(region) }
    }

    fn take_log(&self, number: u32, size: u64) -> Result<Vec<u64>, KvmError> {
        let size = usize::try_from(size).expect("mapped, so it fits");
        self.vm().get_dirty_log(number, size).map_err(at("read what was written to a memory slot"))
    }
}
