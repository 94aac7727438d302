//! Whether a [`MachineSpec`] makes sense in itself. Every error names the flag and the key, the value,
//! and what would be valid. What depends on the host, such as the CPU's address width, is checked
//! where the host is asked.

mod balloon;
mod dimm;
mod disks;
mod firmware;
mod memory;
mod nets;
mod numa;
mod pmems;
#[cfg(test)]
mod tests;
mod windows;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Display;

use super::{MachineSpec, WindowSpec};
use crate::units::Bytes;
pub use pmems::PMEM_UNIT;

/// Most virtual CPUs: local APIC ids have eight bits, and the last two are kept free for the I/O APIC and
/// for broadcasts.
const MAX_CPUS: u32 = 254;
/// Granularity of boot RAM.
const PAGE: u64 = 4096;
/// End of the largest physical address space that an x86-64 CPU can have.
const MAX_ADDRESS: u128 = 1 << 52;
/// Longest id of a memory device.
const MAX_ID: usize = 64;

/// A value that cannot be right, with the key or field it was given for and the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}={value}: {rule}")]
pub struct BadValue {
    /// The key of the command line, or the field of a request.
    pub key: Cow<'static, str>,
    /// The value as given.
    pub value: String,
    /// What would be valid.
    pub rule: String,
}

impl BadValue {
    fn new(key: impl Into<Cow<'static, str>>, value: impl Display, rule: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.to_string(), rule: rule.into() }
    }
}

/// Why a machine cannot be made as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A flag's only value is wrong.
    #[error("{flag} {value}: {rule}")]
    Flag {
        /// The flag.
        flag: &'static str,
        /// Its value.
        value: String,
        /// What would be valid.
        rule: String,
    },
    /// One key of a flag is wrong.
    #[error("{flag}: {bad}")]
    Key {
        /// The flag.
        flag: &'static str,
        /// The key, its value, and what would be valid.
        bad: BadValue,
    },
}

/// Puts a flag's name in front of what is wrong with one of its keys.
fn of(flag: &'static str) -> impl Fn(BadValue) -> SpecError {
    move |bad| SpecError::Key { flag, bad }
}

impl MachineSpec {
    /// Checks everything that needs no host.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), SpecError> {
        if !(1..=MAX_CPUS).contains(&self.cpus) {
            let rule = format!("must be 1 to {MAX_CPUS}");
            return Err(SpecError::Flag { flag: "--cpus", value: self.cpus.to_string(), rule });
        }
        if !(self.cpus..=MAX_CPUS).contains(&self.max_cpus) {
            let rule = format!("must be {} to {MAX_CPUS}", self.cpus);
            return Err(of("--cpus")(BadValue::new("max", self.max_cpus, rule)));
        }
        self.memory.check().map_err(of("--memory"))?;
        numa::check(self).map_err(of("--numa"))?;
        self.check_firmware_ranges().map_err(of("--firmware-range"))?;
        self.check_windows().map_err(of("--memory-hotplug"))?;
        self.check_dimms().map_err(of("--dimm"))?;
        disks::check(&self.disks).map_err(of("--disk"))?;
        nets::check(&self.nets).map_err(of("--net"))?;
        balloon::check(self).map_err(of("--balloon"))?;
        self.check_ids()?;
        self.check_pmems().map_err(of("--pmem"))?;
        self.check_faults()
    }

    /// Whether the machine can have `count` virtual CPUs.
    pub const fn can_have(&self, count: u32) -> bool {
        let fixed = self.cpus == self.max_cpus;
        if fixed { count == self.cpus } else { 1 <= count && count <= self.max_cpus }
    }

    /// How many it can have, in words.
    pub fn cpu_rule(&self) -> String {
        let Self { cpus, max_cpus, .. } = self;
        if cpus == max_cpus {
            return format!(
                "must be {cpus}: the number of CPUs can only change where --cpus says so, as in --cpus {cpus},max=8"
            );
        }
        format!("must be 1 to {max_cpus}")
    }

    /// The names of memory devices, with the flags that gave them.
    fn memory_ids(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let windows = self.windows.iter().filter_map(|window| match window {
            WindowSpec::VirtioMem(device) => Some(("--memory-hotplug", device.id.as_str())),
            WindowSpec::Acpi { .. } => None,
        });
        windows.chain(self.dimms.iter().map(|dimm| ("--dimm", dimm.id.as_str())))
    }

    /// No two memory devices have one name.
    fn check_ids(&self) -> Result<(), SpecError> {
        let mut seen = BTreeSet::new();
        match self.memory_ids().find(|(_, id)| !seen.insert(*id)) {
            Some((flag, id)) => Err(of(flag)(BadValue::new("id", id, "must be given to one device only"))),
            None => Ok(()),
        }
    }

    fn check_faults(&self) -> Result<(), SpecError> {
        self.faults.iter().try_for_each(|fault| {
            let value = format!("device={}", fault.device);
            let bad = |rule| SpecError::Flag { flag: "--fault", value, rule };
            fault.check().map_err(|error| bad(error.to_string()))
        })
    }

    /// Checks that memory devices can be put into `node`; without `--numa` there is node 0 alone.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn check_node(&self, node: u32) -> Result<(), BadValue> {
        if self.numa.iter().any(|known| known.id == node) || (self.numa.is_empty() && node == 0) {
            return Ok(());
        }
        let last = self.numa.iter().map(|known| known.id).max().unwrap_or(0);
        let rule = if last == 0 { "there is only node 0".to_owned() } else { format!("must be 0 to {last}") };
        Err(BadValue::new("node", node, rule))
    }
}

/// Checks the name of a memory device: it becomes part of a URL and of messages.
///
/// # Errors
/// When it is empty, too long, or has characters other than ASCII letters, digits, `.`, `_` and `-`.
pub fn check_id(id: &str) -> Result<(), BadValue> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let only_dots = id.bytes().all(|byte| byte == b'.');
    if id.len() > MAX_ID || only_dots || !id.bytes().all(plain) {
        let rule = format!("must be 1 to {MAX_ID} letters, digits, '.', '_' or '-', not dots alone");
        return Err(BadValue::new("id", format!("{id:?}"), rule));
    }
    Ok(())
}

fn check_multiple(key: impl Into<Cow<'static, str>>, size: u64, unit: u64) -> Result<(), BadValue> {
    if size > 0 && size.is_multiple_of(unit) {
        return Ok(());
    }
    Err(BadValue::new(key, Bytes(size), format!("must be a multiple of {}, and not 0", Bytes(unit))))
}
