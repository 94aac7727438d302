//! Time as the guest counts it: KVM's clock, and each vCPU's time-stamp counter.
//!
//! Both are saved as they are at one moment, and set so that they pass through that moment again. The counter is set by its
//! offset from the host's (Linux, Documentation/virt/kvm/devices/vcpu.rst, section 4): KVM takes a value that is written
//! for an attempt to synchronise vCPUs, and guesses.
#![expect(unsafe_code, reason = "ioctls that kvm-ioctls does not have, and the host's time-stamp counter")]

use std::time::{SystemTime, UNIX_EPOCH};

use kvm_bindings::{
    KVM_CLOCK_HOST_TSC, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, KVMIO, kvm_clock_data, kvm_device_attr,
};
use kvm_ioctls::{VcpuFd, VmFd};
use vmm_sys_util::ioctl::ioctl_with_ref;
use vmm_sys_util::ioctl_iow_nr;

use crate::machine::kvm_error::{KvmError, at, checked};

ioctl_iow_nr!(KVM_SET_DEVICE_ATTR, KVMIO, 0xe1, kvm_device_attr);
ioctl_iow_nr!(KVM_GET_DEVICE_ATTR, KVMIO, 0xe2, kvm_device_attr);

/// What KVM's clock, in nanoseconds, and the host's time-stamp counter say at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub clock: u64,
    pub host_tsc: u64,
}

/// Now.
pub fn now(vm: &VmFd) -> Result<Moment, KvmError> {
    let data = vm.get_clock().map_err(at("read the clock"))?;
    // Hosts whose own clock is not the counter do not say it: some microseconds are between the two then.
    let host_tsc = if data.flags & KVM_CLOCK_HOST_TSC != 0 { data.host_tsc } else { host_tsc() };
    Ok(Moment { clock: data.clock, host_tsc })
}

/// Lets KVM's clock go on from so many nanoseconds.
pub fn set(vm: &VmFd, clock: u64) -> Result<(), KvmError> {
    vm.set_clock(&kvm_clock_data { clock, ..Default::default() }).map_err(at("set the clock"))
}

/// The host's time of day in nanoseconds since 1970.
pub fn time_of_day() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// How much a counter of `khz` counts in so many nanoseconds.
pub fn ticks(nanoseconds: u64, khz: u32) -> u64 {
    let ticks = u128::from(nanoseconds) * u128::from(khz) / 1_000_000;
    // It wraps around as counters do.
    u64::try_from(ticks & u128::from(u64::MAX)).expect("masked")
}

fn host_tsc() -> u64 {
    // SAFETY: every processor that KVM runs on has the instruction.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// How far a vCPU's counter is ahead of the host's.
pub fn tsc_offset(vcpu: &VcpuFd) -> Result<u64, KvmError> {
    let mut offset = 0_u64;
    let attribute = attribute((&raw mut offset).expose_provenance());
    // SAFETY: `vcpu` is a vCPU, and the ioctl writes one u64 at the address, which is `offset`'s.
    let result = unsafe { ioctl_with_ref(vcpu, KVM_GET_DEVICE_ATTR(), &attribute) };
    checked(result)
        .map_err(at("read the time-stamp counter's offset (hosts before Linux 5.16 do not say it)"))?;
    Ok(offset)
}

/// Puts a vCPU's counter so far ahead of the host's.
pub fn set_tsc_offset(vcpu: &VcpuFd, offset: u64) -> Result<(), KvmError> {
    let attribute = attribute((&raw const offset).expose_provenance());
    // SAFETY: `vcpu` is a vCPU, and the ioctl reads one u64 at the address, which is `offset`'s.
    let result = unsafe { ioctl_with_ref(vcpu, KVM_SET_DEVICE_ATTR(), &attribute) };
    checked(result).map_err(at("set the time-stamp counter's offset"))
}

fn attribute(address: usize) -> kvm_device_attr {
    kvm_device_attr {
        group: KVM_VCPU_TSC_CTRL,
        attr: KVM_VCPU_TSC_OFFSET.into(),
        addr: address as u64,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As uapi/linux/kvm.h has them.
    #[test]
    fn requests_have_the_numbers_of_linux() {
        assert_eq!(KVM_SET_DEVICE_ATTR(), 0x4018_aee1);
        assert_eq!(KVM_GET_DEVICE_ATTR(), 0x4018_aee2);
    }

    #[test]
    fn a_counter_counts_its_kilohertz_and_wraps() {
        assert_eq!(ticks(1_000_000_000, 2_500_000), 2_500_000_000);
        assert_eq!(ticks(u64::MAX, 1_000_000), u64::MAX);
        assert_eq!(ticks(u64::MAX, 2_000_000), u64::MAX - 1);
    }
}
