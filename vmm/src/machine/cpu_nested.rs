//! The CPU's virtualization, which guests do not get to see unless that is asked for: what they do with it runs in the
//! host's kernel, beside the part of KVM that this machine needs.

use kvm_bindings::CpuId;

/// CPUID leaf 1, ECX: VMX (Intel SDM volume 2, CPUID).
const VMX: u32 = 1 << 5;
/// CPUID leaf 8000_0001, ECX: SVM (AMD APM volume 3, appendix E).
const SVM: u32 = 1 << 2;
/// SVM's revision and features.
const SVM_LEAF: u32 = 0x8000_000a;

/// `cpuid` without virtualization, whichever vendor's.
pub fn hide(mut cpuid: CpuId) -> CpuId {
    for entry in cpuid.as_mut_slice() {
        match entry.function {
            1 => entry.ecx &= !VMX,
            0x8000_0001 => entry.ecx &= !SVM,
            SVM_LEAF => (entry.eax, entry.ebx, entry.ecx, entry.edx) = (0, 0, 0, 0),
            _ => {}
        }
    }
    cpuid
}

#[cfg(test)]
mod tests {
    use super::*;
    use kvm_bindings::kvm_cpuid_entry2;

    #[test]
    fn neither_vendors_virtualization_is_shown_and_all_else_is() {
        let leaf = |function| kvm_cpuid_entry2 {
            function,
            eax: 7,
            ebx: 8,
            ecx: u32::MAX,
            edx: 9,
            ..Default::default()
        };
        let functions = [0, 1, 0x8000_0001, SVM_LEAF, 0x8000_0008];
        let hidden = hide(CpuId::from_entries(&functions.map(leaf)).unwrap());
        let words = |entry: &kvm_cpuid_entry2| [entry.eax, entry.ebx, entry.ecx, entry.edx];
        let seen: Vec<_> = hidden.as_slice().iter().map(words).collect();
        let with = |ecx| [7, 8, ecx, 9];
        assert_eq!(seen, [with(u32::MAX), with(!VMX), with(!SVM), [0; 4], with(u32::MAX)]);
    }
}
