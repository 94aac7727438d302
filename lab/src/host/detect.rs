//! Whether a machine has hardware-assisted KVM.
//!
//! A /dev/kvm that opens is not enough: there are hosts whose KVM emulates guest instructions and stops at those it does
//! not know. Only a processor with VMX or SVM runs any guest.

use std::fmt;
use std::fs::{self, File};
use std::io;

/// What a machine offers, and why that is so (`Display`).
#[derive(Debug)]
pub enum Kvm {
    /// A processor flag, and a /dev/kvm that opens.
    Hardware {
        /// `vmx` or `svm`.
        flag: &'static str,
    },
    /// The processor has no virtualization, or hides it.
    NoFlag {
        /// Whether there is a /dev/kvm all the same.
        device: bool,
    },
    /// The processor has virtualization, but /dev/kvm does not open.
    NoDevice {
        /// `vmx` or `svm`.
        flag: &'static str,
        /// What opening it said.
        cause: io::Error,
    },
}

impl Kvm {
    /// Whether guests run here.
    #[must_use]
    pub fn is_hardware(&self) -> bool {
        matches!(self, Self::Hardware { .. })
    }
}

impl fmt::Display for Kvm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hardware { flag } => write!(f, "{flag} in /proc/cpuinfo, and /dev/kvm opens"),
            Self::NoFlag { device: false } => f.write_str("neither vmx nor svm in /proc/cpuinfo"),
            Self::NoFlag { device: true } => {
                f.write_str("neither vmx nor svm in /proc/cpuinfo, so /dev/kvm here is not hardware-assisted")
            }
            Self::NoDevice { flag, cause } => write!(f, "{flag} in /proc/cpuinfo, but /dev/kvm: {cause}"),
        }
    }
}

/// What this machine offers.
#[must_use]
pub fn here() -> Kvm {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    assess(&cpuinfo, File::options().read(true).write(true).open("/dev/kvm").map(drop))
}

/// What a machine with this /proc/cpuinfo offers, where opening /dev/kvm for reading and writing gives `device`.
#[must_use]
pub fn assess(cpuinfo: &str, device: io::Result<()>) -> Kvm {
    let flags =
        cpuinfo.lines().filter_map(|line| line.split_once(':')).filter(|(key, _)| key.trim() == "flags");
    let words: Vec<&str> = flags.take(1).flat_map(|(_, flags)| flags.split_whitespace()).collect();
    let flag = ["vmx", "svm"].into_iter().find(|flag| words.contains(flag));
    match (flag, device) {
        (Some(flag), Ok(())) => Kvm::Hardware { flag },
        (Some(flag), Err(cause)) => Kvm::NoDevice { flag, cause },
        (None, Ok(())) => Kvm::NoFlag { device: true },
        (None, Err(cause)) => Kvm::NoFlag { device: cause.kind() != io::ErrorKind::NotFound },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(cpuinfo: &str, device: io::Result<()>) -> (bool, String) {
        let kvm = assess(cpuinfo, device);
        (kvm.is_hardware(), kvm.to_string())
    }

    #[test]
    fn every_combination_of_flag_and_device() {
        let missing = || Err(io::ErrorKind::NotFound.into());
        let denied = || Err(io::ErrorKind::PermissionDenied.into());
        let (vmx, svm) = ("flags\t\t: fpu vmx sse\n", "model\t: x\nflags\t: svm\n");
        assert_eq!(text(vmx, Ok(())), (true, "vmx in /proc/cpuinfo, and /dev/kvm opens".into()));
        assert!(text(svm, Ok(())).0);
        assert_eq!(
            text(svm, denied()),
            (false, "svm in /proc/cpuinfo, but /dev/kvm: permission denied".into())
        );
        assert!(!text(vmx, missing()).0);
        let without = "flags\t\t: fpu sse lahf_lm\n";
        assert_eq!(text(without, missing()), (false, "neither vmx nor svm in /proc/cpuinfo".into()));
        for device in [Ok(()), denied()] {
            assert!(text(without, device).1.ends_with("/dev/kvm here is not hardware-assisted"));
        }
    }

    #[test]
    fn a_flag_is_a_whole_word_of_the_flags() {
        for cpuinfo in ["flags: avmx svm_lock\n", "model name: svm vmx\n", "vmx flags: vnmi ept\n", ""] {
            assert!(!assess(cpuinfo, Ok(())).is_hardware(), "{cpuinfo}");
        }
    }
}
