//! Whose processors the guest sees. KVM offers the host's CPUID; a guest of another vendor needs it in
//! that vendor's words, since Linux decides by the vendor which leaves it reads and what their bits
//! mean. Machine checks are a reason to ask for it: their format is the vendor's, too.

use kvm_bindings::{CpuId, kvm_cpuid_entry2};

use crate::spec::CpuVendor;

/// "GenuineIntel" and "AuthenticAMD" as EBX, EDX, ECX of leaf 0 (Intel SDM volume 2, CPUID; AMD APM
/// volume 3, appendix E.3.1).
const INTEL: [u32; 3] = [0x756e_6547, 0x4965_6e69, 0x6c65_746e];
const AMD: [u32; 3] = [0x6874_7541, 0x6974_6e65, 0x444d_4163];

/// Family 6, model 0x1a: the first one of this family that reports machine checks in every bank and to
/// every processor (Linux, arch/x86/kernel/cpu/mce/core.c, the quirks of Intel), and old enough for
/// Linux not to look for model-specific registers that KVM does not have.
const INTEL_SIGNATURE: u32 = 0x0001_06a0;

/// KVM's features that a guest uses by hypercall: MMU_OP, PV_UNHALT, PV_SEND_IPI, PV_SCHED_YIELD, HC_MAP_GPA_RANGE
/// (KVM documentation, CPUID bits, leaf 0x4000_0001). Each vendor has an instruction of its own for that, and Linux takes
/// that of the vendor it sees. KVM writes the other one in its place, as the guest: Linux, whose code is read-only, stops
/// at a page fault. Without these it makes no hypercall.
const BY_HYPERCALL: u32 = 1 << 2 | 1 << 7 | 1 << 11 | 1 << 13 | 1 << 16;

/// Leaf 0x8000_0007, EBX: after an overflow of a machine-check bank the rest can be recovered from; an uncorrected error is
/// contained, and software can recover from it (AMD APM volume 3, appendix E.4.6). KVM shows neither, but its registers are
/// all that they ask for. Without the second, Linux takes any uncorrected error as the end
/// (arch/x86/kernel/cpu/mce/severity.c, `mce_severity_amd`); 5.10 does nothing about one without the first.
const MCA_OVERFLOW_RECOVERY: u32 = 1 << 0;
const SUCCOR: u32 = 1 << 1;
const RECOVERY: u32 = MCA_OVERFLOW_RECOVERY | SUCCOR;

/// The guest cannot be given processors of this vendor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "--cpu-vendor amd: this host's processors are not AMD's, and KVM has the registers of AMD's only where \
     they are; leave the flag out"
)]
pub struct NoSuchVendor;

/// The vendor that `cpuid` names, if it is one of the two.
pub fn of(cpuid: &CpuId) -> Option<CpuVendor> {
    let leaf = cpuid.as_slice().iter().find(|entry| entry.function == 0)?;
    match [leaf.ebx, leaf.edx, leaf.ecx] {
        INTEL => Some(CpuVendor::Intel),
        AMD => Some(CpuVendor::Amd),
        _ => None,
    }
}

/// `supported`, which is the host's, as a processor of `vendor` says it. AMD's say more than KVM does: that memory errors can
/// be recovered from.
///
/// # Errors
/// [`NoSuchVendor`] for AMD's on a host that has another's.
pub fn present(supported: CpuId, vendor: Option<CpuVendor>) -> Result<CpuId, NoSuchVendor> {
    match (of(&supported), vendor) {
        (Some(CpuVendor::Amd), None | Some(CpuVendor::Amd)) => Ok(with_recovery(supported)),
        (_, None) => Ok(supported),
        (host, asked) if host == asked => Ok(supported),
        (_, Some(CpuVendor::Intel)) => Ok(as_intel(&supported)),
        (_, Some(CpuVendor::Amd)) => Err(NoSuchVendor),
    }
}

/// Whether AMD's processors say that memory errors can be recovered from.
pub fn recovers(cpuid: &CpuId) -> bool {
    cpuid.as_slice().iter().any(|leaf| leaf.function == 0x8000_0007 && leaf.ebx & RECOVERY == RECOVERY)
}

fn with_recovery(mut cpuid: CpuId) -> CpuId {
    for leaf in cpuid.as_mut_slice().iter_mut().filter(|leaf| leaf.function == 0x8000_0007) {
        leaf.ebx |= RECOVERY;
    }
    cpuid
}

/// What an Intel processor says of the same features (Intel SDM volume 2, CPUID, table 3-8).
fn as_intel(host: &CpuId) -> CpuId {
    let caches = caches(host.as_slice());
    let kept = host.as_slice().iter().filter(|entry| !matches!(entry.function, 4 | 0x8000_0009..));
    let mut entries: Vec<_> = kept.copied().map(intel_leaf).chain(caches).collect();
    entries.sort_by_key(|entry| (entry.function, entry.index));
    CpuId::from_entries(&entries).expect("no more entries than KVM gave")
}

/// Leaf 4. AMD describes caches in leaf 0x8000_001d with the same fields (AMD APM volume 3, appendix
/// E.4.16), and need not have leaf 4.
fn caches(host: &[kvm_cpuid_entry2]) -> Vec<kvm_cpuid_entry2> {
    let caches_of = |function| {
        // A cache of type 0 is the end of the list.
        host.iter().filter(move |entry| entry.function == function && entry.eax & 0x1f != 0)
    };
    let own: Vec<_> = caches_of(4).copied().collect();
    if !own.is_empty() {
        return own;
    }
    caches_of(0x8000_001d).map(|entry| kvm_cpuid_entry2 { function: 4, ..*entry }).collect()
}

fn intel_leaf(mut leaf: kvm_cpuid_entry2) -> kvm_cpuid_entry2 {
    match leaf.function {
        0 => [leaf.ebx, leaf.edx, leaf.ecx] = INTEL,
        1 => leaf.eax = INTEL_SIGNATURE,
        // Descriptor 0xff: leaf 4 describes the caches.
        2 => (leaf.eax, leaf.ebx, leaf.ecx, leaf.edx) = (1, 0xff, 0, 0),
        0x4000_0001 => leaf.eax &= !BY_HYPERCALL,
        0x8000_0000 => (leaf.eax, leaf.ebx, leaf.ecx, leaf.edx) = (0x8000_0008, 0, 0, 0),
        0x8000_0001 => {
            (leaf.eax, leaf.ebx) = (0, 0);
            // LAHF, LZCNT, PREFETCHW.
            leaf.ecx &= (1 << 0) | (1 << 5) | (1 << 8);
            // SYSCALL, no-execute, 1 GiB pages, RDTSCP, 64-bit mode.
            leaf.edx &= (1 << 11) | (1 << 20) | (1 << 26) | (1 << 27) | (1 << 29);
        }
        0x8000_0005 => (leaf.eax, leaf.ebx, leaf.ecx, leaf.edx) = (0, 0, 0, 0),
        // Of the second-level cache both say the same; the rest is AMD's.
        0x8000_0006 => (leaf.eax, leaf.ebx, leaf.edx) = (0, 0, 0),
        // Invariant time-stamp counter.
        0x8000_0007 => (leaf.eax, leaf.ebx, leaf.ecx, leaf.edx) = (0, 0, 0, leaf.edx & (1 << 8)),
        // Physical and linear address bits, WBNOINVD.
        0x8000_0008 => {
            (leaf.eax, leaf.ebx, leaf.ecx, leaf.edx) = (leaf.eax & 0xffff, leaf.ebx & (1 << 9), 0, 0);
        }
        _ => {}
    }
    leaf
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(function: u32, index: u32, [eax, ebx, ecx, edx]: [u32; 4]) -> kvm_cpuid_entry2 {
        kvm_cpuid_entry2 { function, index, eax, ebx, ecx, edx, ..Default::default() }
    }

    /// A few leaves of an AMD host, every bit set where a mask is to be seen.
    fn amd() -> CpuId {
        let all = [u32::MAX; 4];
        CpuId::from_entries(&[
            leaf(0, 0, [0x10, AMD[0], AMD[2], AMD[1]]),
            leaf(1, 0, [0x00a2_0f10, 1, 2, 3]),
            leaf(4, 0, [0; 4]),
            leaf(7, 0, [1, 2, 3, 4]),
            leaf(0x4000_0000, 0, [0x4000_0001, 0x4b4d_564b, 0x564b_4d56, 0x4d]),
            leaf(0x4000_0001, 0, [0x0103_fefb, 0, 0, 1]),
            leaf(0x8000_0000, 0, [0x8000_0021, AMD[0], AMD[2], AMD[1]]),
            leaf(0x8000_0001, 0, all),
            leaf(0x8000_0005, 0, all),
            leaf(0x8000_0006, 0, all),
            leaf(0x8000_0007, 0, all),
            leaf(0x8000_0008, 0, [0x0030_3028, u32::MAX, 0x7007, 9]),
            leaf(0x8000_001d, 0, [0x121, 0x01c0_003f, 63, 0]),
            leaf(0x8000_001d, 1, [0x143, 0x01c0_003f, 1023, 2]),
            leaf(0x8000_001d, 2, [0; 4]),
            leaf(0x8000_001e, 0, all),
        ])
        .unwrap()
    }

    fn find(cpuid: &CpuId, function: u32, index: u32) -> [u32; 4] {
        let found = cpuid.as_slice().iter().find(|e| e.function == function && e.index == index);
        found.map(|entry| [entry.eax, entry.ebx, entry.ecx, entry.edx]).unwrap()
    }

    #[test]
    fn the_vendor_is_read_back() {
        assert_eq!(of(&amd()), Some(CpuVendor::Amd));
        let intel = present(amd(), Some(CpuVendor::Intel)).unwrap();
        assert_eq!(of(&intel), Some(CpuVendor::Intel));
        assert_eq!(of(&CpuId::from_entries(&[leaf(0, 0, [1, 2, 3, 4])]).unwrap()), None);
    }

    #[test]
    fn the_hosts_own_vendor_changes_nothing_but_amds_recovery() {
        for vendor in [None, Some(CpuVendor::Amd)] {
            let mut host = amd();
            // What KVM says of an AMD host.
            host.as_mut_slice()[10].ebx = 0;
            assert!(!recovers(&host));
            let guest = present(host.clone(), vendor).unwrap();
            assert!(recovers(&guest));
            assert_eq!(find(&guest, 0x8000_0007, 0), [u32::MAX, 3, u32::MAX, u32::MAX]);
            host.as_mut_slice()[10].ebx = 3;
            assert_eq!(guest.as_slice(), host.as_slice());
        }
        let intel = present(amd(), Some(CpuVendor::Intel)).unwrap();
        assert_eq!(present(intel.clone(), Some(CpuVendor::Intel)).unwrap().as_slice(), intel.as_slice());
    }

    #[test]
    fn amd_on_another_host_is_refused() {
        let intel = present(amd(), Some(CpuVendor::Intel)).unwrap();
        assert_eq!(present(intel, Some(CpuVendor::Amd)), Err(NoSuchVendor));
    }

    #[test]
    fn intel_keeps_common_leaves_and_drops_amds() {
        let intel = present(amd(), Some(CpuVendor::Intel)).unwrap();
        for function in [7, 0x4000_0000] {
            assert_eq!(find(&intel, function, 0), find(&amd(), function, 0));
        }
        assert_eq!(find(&intel, 0x4000_0001, 0), [0x0102_d67b, 0, 0, 1]);
        assert_eq!(find(&intel, 1, 0), [0x106a0, 1, 2, 3]);
        assert_eq!(find(&intel, 0x8000_0000, 0), [0x8000_0008, 0, 0, 0]);
        assert_eq!(find(&intel, 0x8000_0001, 0), [0, 0, 0x121, 0x2c10_0800]);
        assert_eq!(find(&intel, 0x8000_0006, 0), [0, 0, u32::MAX, 0]);
        assert_eq!(find(&intel, 0x8000_0007, 0), [0, 0, 0, 0x100]);
        assert_eq!(find(&intel, 0x8000_0008, 0), [0x3028, 0x200, 0, 0]);
        let last = intel.as_slice().last().unwrap();
        assert_eq!(last.function, 0x8000_0008);
    }

    #[test]
    fn caches_come_from_leaf_4_or_else_from_amds_leaf() {
        let intel = present(amd(), Some(CpuVendor::Intel)).unwrap();
        assert_eq!(find(&intel, 4, 0), [0x121, 0x01c0_003f, 63, 0]);
        assert_eq!(find(&intel, 4, 1), [0x143, 0x01c0_003f, 1023, 2]);
        let mut both = amd();
        both.as_mut_slice()[2].eax = 0x122;
        let intel = present(both, Some(CpuVendor::Intel)).unwrap();
        assert_eq!(find(&intel, 4, 0), [0x122, 0, 0, 0]);
        assert_eq!(intel.as_slice().iter().filter(|entry| entry.function == 4).count(), 1);
    }
}
