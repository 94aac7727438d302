//! One log line per kind of misbehaviour: a guest that repeats itself must not fill the log.

/// Whether something was already said. Each device keeps one per kind of complaint.
#[derive(Debug, Default)]
pub(crate) struct Said(bool);

impl Said {
    /// True the first time only.
    pub(crate) fn first(&mut self) -> bool {
        !std::mem::replace(&mut self.0, true)
    }
}
