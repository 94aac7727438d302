//! Model-specific registers: those that KVM lists, and those that it keeps without listing them.

use std::collections::BTreeSet;

use kvm_bindings::{Msrs, kvm_msr_entry};
use kvm_ioctls::{Kvm, VcpuFd};

use super::StateProblem;
use crate::machine::kvm_error::{KvmError, at};

/// IA32_TIME_STAMP_COUNTER, which is set by its [offset](super::clock).
const TSC: u32 = 0x10;
/// IA32_TSC_DEADLINE: means something only once the local APIC and the counter are there.
const TSC_DEADLINE: u32 = 0x6e0;
/// Registers of Hyper-V's interface, which no machine offers. One of them is a clock.
const HYPER_V: std::ops::Range<u32> = 0x4000_0000..0x4000_0200;
/// Memory types: eight variable ranges, the fixed ones, and the default (Intel SDM volume 4, table 2-2).
const MEMORY_TYPES: [std::ops::RangeInclusive<u32>; 6] =
    [0x200..=0x20f, 0x250..=0x250, 0x258..=0x259, 0x268..=0x26f, 0x277..=0x277, 0x2ff..=0x2ff];
/// The first of four registers for each machine-check bank.
const BANKS: u32 = 0x400;
/// Most registers that KVM takes at once (kvm_main.c, `MAX_IO_MSRS`).
const AT_ONCE: usize = 256;

/// The registers of a machine's vCPUs, whose IA32_MCG_CAP is `mcg_cap`; TSC_DEADLINE comes last.
pub fn numbers(kvm: &Kvm, mcg_cap: u64) -> Result<Vec<u32>, KvmError> {
    let listed = kvm.get_msr_index_list().map_err(at("list model-specific registers"))?;
    let banks = u32::from(mcg_cap.to_le_bytes()[0]);
    let mut all: BTreeSet<u32> = listed.as_slice().iter().copied().collect();
    all.extend(MEMORY_TYPES.into_iter().flatten());
    all.extend(BANKS..BANKS + 4 * banks);
    all.retain(|number| *number != TSC && !HYPER_V.contains(number));
    let deadline = all.remove(&TSC_DEADLINE);
    Ok(all.into_iter().chain(deadline.then_some(TSC_DEADLINE)).collect())
}

/// The values of those that the vCPU has.
pub fn read(vcpu: &VcpuFd, numbers: &[u32]) -> Result<Vec<(u32, u64)>, KvmError> {
    let mut values = Vec::with_capacity(numbers.len());
    let mut left = numbers;
    while !left.is_empty() {
        let now = &left[..left.len().min(AT_ONCE)];
        let entries: Vec<_> = now.iter().map(|index| entry(*index, 0)).collect();
        let mut msrs = Msrs::from_entries(&entries).expect("no more than fit");
        let read = vcpu.get_msrs(&mut msrs).map_err(at("read model-specific registers"))?;
        values.extend(msrs.as_slice()[..read].iter().map(|entry| (entry.index, entry.data)));
        // KVM stops at the first that the vCPU does not have.
        left = &left[(read + usize::from(read < now.len()))..];
    }
    Ok(values)
}

/// Gives the vCPU these values, in their order. Those that it has already are left alone: some cannot be written.
pub fn write(vcpu: &VcpuFd, values: &[(u32, u64)]) -> Result<(), StateProblem> {
    let numbers: Vec<u32> = values.iter().map(|(number, _)| *number).collect();
    let fresh: BTreeSet<(u32, u64)> = read(vcpu, &numbers)?.into_iter().collect();
    let other: Vec<_> = values.iter().filter(|value| !fresh.contains(value)).collect();
    for chunk in other.chunks(AT_ONCE) {
        let entries: Vec<_> = chunk.iter().map(|(number, value)| entry(*number, *value)).collect();
        let msrs = Msrs::from_entries(&entries).expect("no more than fit");
        let written = vcpu.set_msrs(&msrs).map_err(at("set model-specific registers"))?;
        if let Some((number, value)) = chunk.get(written) {
            let text =
                format!("this host's KVM does not take {value:#x} for model-specific register {number:#x}");
            return Err(StateProblem::Differs(text));
        }
    }
    Ok(())
}

fn entry(index: u32, data: u64) -> kvm_msr_entry {
    kvm_msr_entry { index, data, ..Default::default() }
}
