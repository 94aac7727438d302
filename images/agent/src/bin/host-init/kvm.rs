//! One idle virtual machine that lives as long as the emulated host.
//!
//! KVM patches the running kernel (static keys: preemption notifiers in the scheduler, "some local APIC is disabled")
//! when its first machine comes and when its last one goes. QEMU emulates several processors in several threads, and the
//! kernel was seen to die of its own breakpoint there, as if one of them still executed an old translation of the code. With a
//! machine that always exists, whose one processor never leaves reset, nothing of that is ever patched again.
#![expect(unsafe_code, reason = "KVM is driven with ioctls")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

// include/uapi/linux/kvm.h
const KVM_CREATE_VM: libc::c_ulong = 0xae01;
const KVM_CREATE_IRQCHIP: libc::c_ulong = 0xae60;
const KVM_CREATE_VCPU: libc::c_ulong = 0xae41;

/// The idle machine; it is gone when this is dropped.
#[derive(Debug)]
pub struct IdleMachine {
    _processor: OwnedFd,
    _machine: OwnedFd,
}

impl IdleMachine {
    /// Makes the machine with one processor in reset.
    ///
    /// # Errors
    /// What KVM says.
    pub fn new() -> io::Result<Self> {
        let kvm = File::options().read(true).write(true).open("/dev/kvm")?;
        let machine = descriptor(ioctl(&kvm, KVM_CREATE_VM)?);
        ioctl(&machine, KVM_CREATE_IRQCHIP)?;
        let processor = descriptor(ioctl(&machine, KVM_CREATE_VCPU)?);
        Ok(Self { _processor: processor, _machine: machine })
    }
}

/// Runs one of the requests above, all of which take the number 0.
fn ioctl(file: &impl AsRawFd, request: libc::c_ulong) -> io::Result<i32> {
    // SAFETY: the descriptor is open, and the request takes a number, no pointer.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), request as _, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn descriptor(number: i32) -> OwnedFd {
    // SAFETY: KVM has just made it for this process, and nobody else knows its number.
    unsafe { OwnedFd::from_raw_fd(number) }
}
