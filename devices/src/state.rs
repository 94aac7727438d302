//! What is saved of a device, so that the device of another machine goes on where it stopped.
//!
//! Each device has `state()` and `restore()` beside its registers. A state is plain data, and input: what it says is checked
//! before anything of the device changes. A device takes over the state of one that was made as it was itself: with the
//! same name, the same place, the same sizes. Host memory is not its business: who restores has it in place by then.

/// A saved state that this device cannot take over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StateError(pub String);

impl StateError {
    /// Complains about `what` unless it is right.
    pub(crate) fn unless(right: bool, what: impl FnOnce() -> String) -> Result<(), Self> {
        if right { Ok(()) } else { Err(Self(what())) }
    }
}
