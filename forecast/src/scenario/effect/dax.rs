//! What a step with a dax device leaves of it.

use std::fmt;
use std::ops::RangeInclusive;

use crate::scenario::DriverWord;

/// A dax device after a step with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaxState {
    /// The driver that it is bound to.
    pub driver: DriverWord,
    /// What /proc/iomem has of it, from the outside in: its own name where a driver has it, and the name of the memory
    /// that kmem has added.
    pub resources: Vec<Resource>,
}

/// An entry of /proc/iomem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// First and last address.
    pub range: RangeInclusive<u64>,
    /// Its name.
    pub name: String,
}

/// As `kmem: 180000000-1ffffffff dax0.0 > 180000000-1ffffffff System RAM (kmem)`
impl fmt::Display for DaxState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.driver.name().unwrap_or("no driver"))?;
        for (number, Resource { range, name }) in self.resources.iter().enumerate() {
            let before = if number == 0 { ":" } else { " >" };
            write!(f, "{before} {:x}-{:x} {name}", range.start(), range.end())?;
        }
        Ok(())
    }
}
