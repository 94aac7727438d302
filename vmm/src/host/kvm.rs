//! KVM's device, opened by its path or taken over.
#![expect(unsafe_code, reason = "makes a handle of a descriptor")]

use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::path::Path;

use kvm_ioctls::Kvm;

use crate::inherited;

/// What KVM has answered since Linux 2.6.22 (include/uapi/linux/kvm.h, `KVM_API_VERSION`).
const VERSION: i32 = 12;

/// Opens the device.
///
/// # Errors
/// What the host says.
pub(super) fn open(device: &Path) -> io::Result<Kvm> {
    of(File::options().read(true).write(true).open(device)?.into())
}

/// Takes over the descriptor of this number, which this process was started with.
///
/// # Errors
/// That it is none, or not of KVM.
pub(super) fn take(number: i32) -> io::Result<Kvm> {
    of(inherited::take(number, |_| Ok(()))?)
}

fn of(descriptor: OwnedFd) -> io::Result<Kvm> {
    // SAFETY: the descriptor is open, and nobody else has it. What it is of is looked at before it is used.
    let kvm = unsafe { Kvm::from_raw_fd(descriptor.into_raw_fd()) };
    if kvm.get_api_version() == VERSION { Ok(kvm) } else { Err(io::Error::other("is not KVM's device")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_device_is_none() {
        assert_eq!(open(Path::new("/dev/null")).unwrap_err().to_string(), "is not KVM's device");
        let number = rustix::io::dup(File::open("/dev/null").unwrap()).unwrap().into_raw_fd();
        assert_eq!(take(number).unwrap_err().to_string(), "is not KVM's device");
        assert!(take(1 << 20).unwrap_err().to_string().contains("was started with"));
    }
}
