//! KVM's refusals, with the step that it refused.

/// KVM said no.
#[derive(Debug, thiserror::Error)]
#[error("KVM: {step}: {error}")]
pub struct KvmError {
    step: &'static str,
    #[source]
    error: kvm_ioctls::Error,
}

/// For `map_err`: names the step that failed.
pub(super) fn at(step: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> KvmError {
    move |error| KvmError { step, error }
}

/// What an ioctl that kvm-ioctls does not have has returned.
pub(super) fn checked(result: libc::c_int) -> Result<(), kvm_ioctls::Error> {
    if result < 0 { vmm_sys_util::errno::errno_result() } else { Ok(()) }
}
