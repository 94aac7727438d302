//! Capabilities (capabilities(7)): a thread of a running machine has none, and nothing that it could start would get any.

use rustix::io::{self, Errno};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

/// Nothing that the calling thread or its children execute gets more than they have, and what they have is to be no more than
/// what they use now.
///
/// # Errors
/// What the host says.
pub fn give_no_new() -> io::Result<()> {
    set_no_new_privs(true)?;
    clear_ambient_capability_set().or_else(unless_old)?;
    for capability in CapabilitySet::all().iter() {
        // Who has no CAP_SETPCAP has a bounding set that is of no use to them.
        match capability_is_in_bounding_set(capability) {
            Ok(true) => match remove_capability_from_bounding_set(capability) {
                Err(Errno::PERM) => return Ok(()),
                removed => removed?,
            },
            // The kernel does not know this one.
            Ok(false) | Err(Errno::INVAL) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The calling thread has none from now on.
///
/// # Errors
/// What the host says.
pub fn drop_all() -> io::Result<()> {
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}

/// Kernels before 4.3 have no ambient set.
fn unless_old(error: Errno) -> io::Result<()> {
    if error == Errno::INVAL { Ok(()) } else { Err(error) }
}
