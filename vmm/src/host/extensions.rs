//! What KVM of this host has of all that Dimmer uses of it: its extensions by their names (include/uapi/linux/kvm.h).

use std::ffi::c_ulong;
use std::path::Path;

use kvm_bindings::{
    KVM_CAP_ADJUST_CLOCK, KVM_CAP_DEBUGREGS, KVM_CAP_DISABLE_QUIRKS2, KVM_CAP_EXT_CPUID, KVM_CAP_GET_TSC_KHZ,
    KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_IRQ_ROUTING, KVM_CAP_IRQCHIP, KVM_CAP_KVMCLOCK_CTRL, KVM_CAP_MAX_VCPUS,
    KVM_CAP_MCE, KVM_CAP_MP_STATE, KVM_CAP_NR_MEMSLOTS, KVM_CAP_SET_IDENTITY_MAP_ADDR, KVM_CAP_SET_TSS_ADDR,
    KVM_CAP_USER_MEMORY, KVM_CAP_USER_NMI, KVM_CAP_VCPU_ATTRIBUTES, KVM_CAP_VCPU_EVENTS,
    KVM_CAP_X86_MSR_FILTER, KVM_CAP_X86_USER_SPACE_MSR, KVM_CAP_XCRS, KVM_CAP_XSAVE,
};

use super::{HostProblem, open_kvm};
use crate::spec::KvmSpec;

/// What comes of it where an extension is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// No machine runs.
    Always,
    /// Machines run, and something that some of them do fails.
    Some,
    /// Dimmer asks, and goes on in another way.
    Asked,
}

/// Something that Dimmer uses of KVM.
#[derive(Debug, Clone, Copy)]
pub struct Extension {
    /// Its name in Linux, without `KVM_CAP_`.
    pub name: &'static str,
    /// Its number.
    number: u32,
    /// What comes of it where it is missing.
    pub need: Need,
    /// What it is for.
    pub purpose: &'static str,
}

macro_rules! extensions {
    ($($name:ident $need:ident $purpose:literal)+) => {
        /// All that Dimmer uses.
        pub const ALL: &[Extension] = &[$(Extension {
            name: stringify!($name).split_at("KVM_CAP_".len()).1,
            number: $name,
            need: Need::$need,
            purpose: $purpose,
        }),+];
    };
}

extensions! {
    KVM_CAP_USER_MEMORY Always "guest memory is the process's own"
    KVM_CAP_NR_MEMSLOTS Always "how many memory slots there are for it"
    KVM_CAP_IRQCHIP Always "interrupt controllers in the kernel"
    KVM_CAP_IRQ_ROUTING Always "every interrupt goes to the I/O APIC alone"
    KVM_CAP_EXT_CPUID Always "what the guest's processors show of themselves"
    KVM_CAP_MP_STATE Always "processors that wait for their start"
    KVM_CAP_VCPU_EVENTS Always "exceptions on their way to a processor"
    KVM_CAP_MCE Always "machine checks"
    KVM_CAP_IMMEDIATE_EXIT Always "processors that stop when they are asked to"
    KVM_CAP_MAX_VCPUS Asked "how many processors a machine may have"
    KVM_CAP_SET_TSS_ADDR Asked "a place for Intel's task state segment"
    KVM_CAP_SET_IDENTITY_MAP_ADDR Asked "a place for Intel's page table of real mode"
    KVM_CAP_DISABLE_QUIRKS2 Asked "an unplug that leaves other memory mapped (Linux 6.12)"
    KVM_CAP_XCRS Asked "registers of XSAVE in snapshots"
    KVM_CAP_XSAVE Some "snapshots: the floating point's state"
    KVM_CAP_DEBUGREGS Some "snapshots: debug registers"
    KVM_CAP_ADJUST_CLOCK Some "snapshots: the guest's clock"
    KVM_CAP_GET_TSC_KHZ Some "snapshots: the time-stamp counter's speed"
    KVM_CAP_VCPU_ATTRIBUTES Some "snapshots: the time-stamp counter's offset (Linux 5.16)"
    KVM_CAP_KVMCLOCK_CTRL Some "a guest that stood still takes it for no lockup"
    KVM_CAP_USER_NMI Some "the request for a non-maskable interrupt"
    KVM_CAP_X86_USER_SPACE_MSR Some "guests with Intel's machine checks: a register that Dimmer answers"
    KVM_CAP_X86_MSR_FILTER Some "guests with Intel's machine checks: which register"
}

/// What KVM says of itself.
#[derive(Debug, Clone)]
pub struct Answers {
    /// The version of its interface (`KVM_GET_API_VERSION`).
    pub version: i32,
    /// What it says of each extension (`KVM_CHECK_EXTENSION`): 0 or less where it has none; else 1, a number or bits.
    pub extensions: Vec<(Extension, i32)>,
}

/// Asks the KVM at `device` for all that Dimmer uses.
///
/// # Errors
/// [`HostProblem`] where it cannot be used.
pub fn ask(device: &Path) -> Result<Answers, HostProblem> {
    let kvm = open_kvm(&KvmSpec::Path(device.to_owned()))?;
    let answer =
        |extension: &Extension| (*extension, kvm.check_extension_raw(c_ulong::from(extension.number)));
    Ok(Answers { version: kvm.get_api_version(), extensions: ALL.iter().map(answer).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// The files below `directory`.
    fn sources(directory: &Path) -> Vec<String> {
        let mut all = Vec::new();
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                all.extend(sources(&entry.path()));
            } else {
                all.push(fs::read_to_string(entry.path()).unwrap());
            }
        }
        all
    }

    /// `KVM_CAP_XCRS` is `Cap::Xcrs` in the crate's enumeration.
    fn camel(name: &str) -> String {
        let word = |word: &str| word[..1].to_owned() + &word[1..].to_lowercase();
        name.split('_').map(word).collect()
    }

    #[test]
    fn what_the_machine_asks_of_kvm_by_name_is_here() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/machine");
        let mut asked = 0;
        for text in sources(&directory) {
            let word = |rest: &str| {
                rest.split(|it: char| !it.is_alphanumeric() && it != '_')
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            };
            for name in text.split("KVM_CAP_").skip(1).map(word) {
                assert!(ALL.iter().any(|one| one.name == name), "KVM_CAP_{name}");
                asked += 1;
            }
            for name in text.split("(Cap::").skip(1).map(word) {
                assert!(ALL.iter().any(|one| camel(one.name) == name), "Cap::{name}");
                asked += 1;
            }
        }
        assert!(asked >= 6, "only {asked} were found");
    }

    #[test]
    fn names_and_numbers_are_linuxs_and_nothing_is_twice() {
        let number = |name: &str| ALL.iter().find(|one| one.name == name).map(|one| one.number);
        assert_eq!([number("USER_MEMORY"), number("DISABLE_QUIRKS2")], [Some(3), Some(213)]);
        let mut names: Vec<_> = ALL.iter().map(|one| one.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn what_is_no_kvm_answers_nothing() {
        assert!(ask(Path::new("/dev/null")).is_err());
    }
}
