//! What this host offers: hardware-assisted KVM, or the reason why not.
//!
//! A usable /dev/kvm is not enough: some hosts offer a KVM that emulates guest instructions and
//! stops at unknown ones. Hardware assistance shows as `vmx` or `svm` among the CPU's flags.

pub mod extensions;
mod kvm;
mod nodes;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kvm_ioctls::Kvm;

pub use nodes::{HostNodeProblem, check_nodes};

use crate::spec::KvmSpec;

/// Why a machine cannot run on this host.
#[derive(Debug, thiserror::Error)]
pub enum HostProblem {
    /// The CPU has no virtualization extension.
    #[error(
        "this host has no hardware-assisted KVM: /proc/cpuinfo shows neither vmx nor svm{kvm}; \
         run the same command on such a host, or inside the emulated one: dimmer-lab host -- dimmer run ..."
    )]
    NoHardware {
        /// A remark on a /dev/kvm that is there all the same.
        kvm: &'static str,
    },
    /// The device cannot be opened.
    #[error("cannot open {}: {error}{hint}", path.display())]
    Device {
        /// The device.
        path: PathBuf,
        /// What the host said.
        #[source]
        error: io::Error,
        /// What to do about it.
        hint: &'static str,
    },
    /// A descriptor cannot be taken over.
    #[error("--kvm fd={number}: {error}")]
    Descriptor {
        /// Its number.
        number: i32,
        /// Why not.
        #[source]
        error: io::Error,
    },
}

/// Whether /proc/cpuinfo's text shows a virtualization extension.
pub fn has_virtualization(cpuinfo: &str) -> bool {
    cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(key, _)| key.trim() == "flags")
        .any(|(_, flags)| flags.split_whitespace().any(|flag| flag == "vmx" || flag == "svm"))
}

/// KVM, where this host has it with hardware assistance and this user may use it.
///
/// # Errors
/// [`HostProblem`], which says what is missing and what to do.
pub fn open_kvm(kvm: &KvmSpec) -> Result<Kvm, HostProblem> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if !has_virtualization(&cpuinfo) {
        let is_there = match kvm {
            KvmSpec::Path(path) => path.exists(),
            KvmSpec::Fd(_) => true,
        };
        let kvm = if is_there { " (there is a /dev/kvm, but it emulates guest instructions)" } else { "" };
        return Err(HostProblem::NoHardware { kvm });
    }
    match kvm {
        KvmSpec::Path(path) => open(path),
        KvmSpec::Fd(number) => {
            kvm::take(*number).map_err(|error| HostProblem::Descriptor { number: *number, error })
        }
    }
}

fn open(path: &Path) -> Result<Kvm, HostProblem> {
    let error = match kvm::open(path) {
        Ok(kvm) => return Ok(kvm),
        Err(error) => error,
    };
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => "; join the group that owns it (often `kvm`), or run as root",
        io::ErrorKind::NotFound => {
            "; load the module kvm-intel or kvm-amd, and look whether the firmware disables it"
        }
        _ => "",
    };
    Err(HostProblem::Device { path: path.to_owned(), error, hint })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_flags_line_counts() {
        assert!(has_virtualization("processor\t: 0\nflags\t\t: fpu svm npt\n"));
        assert!(has_virtualization("flags\t\t: vmx\n"));
        assert!(!has_virtualization("flags\t\t: fpu svm_lock avmx\nbugs\t: vmx\n"));
        assert!(!has_virtualization("vmx flags\t: vmx ept\nmodel name\t: svm\n"));
        assert!(!has_virtualization(""));
    }

    #[test]
    fn a_missing_device_says_what_to_do() {
        let text = open(Path::new("/nonexistent/kvm")).unwrap_err().to_string();
        assert!(text.contains("kvm-amd"), "{text}");
    }
}
