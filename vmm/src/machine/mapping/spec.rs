//! How an area's memory is mapped.

use crate::spec::{Backing, MemorySpec};

/// How guest memory is mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingSpec {
    /// Where it comes from.
    pub backing: Backing,
    /// Whether memory is populated before the guest gets it.
    pub prealloc: bool,
    /// Whether transparent huge pages are asked for.
    pub thp: bool,
    /// Whether the host sets memory aside when the guest gets it.
    pub reserve: bool,
}

impl MappingSpec {
    /// Of persistent memory, which is all in its file.
    pub const PERSISTENT: Self = Self { backing: Backing::Anon, prealloc: false, thp: false, reserve: false };

    /// What the specification of the machine's memory says.
    pub fn new(memory: &MemorySpec) -> Self {
        let MemorySpec { prealloc, thp, reserve, .. } = *memory;
        Self { backing: memory.backing.clone(), prealloc, thp, reserve }
    }
}
