//! Whether a [`MachineSpec`] makes sense in itself. Every error names the flag and the key, the value,
//! and what would be valid. What depends on the host, such as the CPU's address width, is checked
//! where the host is asked.

mod numa;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt::Display;

use super::{DimmSpec, MachineSpec, MemorySpec, VirtioMemSpec, WindowSpec};
use crate::units::{Bytes, GIB, MIB};

/// Most virtual CPUs: local APIC ids have eight bits, and the last two are kept free for the I/O APIC and
/// for broadcasts.
const MAX_CPUS: u32 = 254;
/// Granularity of boot RAM.
const PAGE: u64 = 4096;
/// Least boot RAM that a kernel and its initial RAM file system fit into.
const MIN_RAM: u64 = 64 * MIB;
/// Most RAM below 4 GiB: device registers follow.
const MAX_LOW: u64 = 3 * GIB;
/// Granularity of hot-pluggable memory: an x86-64 kernel's smallest memory block.
const MEMORY_BLOCK: u64 = 128 * MIB;
/// Device blocks of a virtio-mem device: one huge page at least, and at most the alignment of a window.
const BLOCK_SIZES: (u64, u64) = (2 * MIB, GIB);
/// Most slots for ACPI memory devices.
const MAX_SLOTS: u16 = 1024;
/// Most virtio-mem devices: one interrupt line each, beside the agent's console.
const MAX_VIRTIO_MEM: usize = crate::layout::VIRTIO_GSIS.len() - 1;
/// End of the largest physical address space that an x86-64 CPU can have.
const MAX_ADDRESS: u128 = 1 << 52;
/// Longest id of a memory device.
const MAX_ID: usize = 64;

/// A value that cannot be right, with the key or field it was given for and the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}={value}: {rule}")]
pub struct BadValue {
    /// The key of the command line, or the field of a request.
    pub key: &'static str,
    /// The value as given.
    pub value: String,
    /// What would be valid.
    pub rule: String,
}

impl BadValue {
    fn new(key: &'static str, value: impl Display, rule: impl Into<String>) -> Self {
        Self { key, value: value.to_string(), rule: rule.into() }
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
        self.memory.check().map_err(of("--memory"))?;
        numa::check(self).map_err(of("--numa"))?;
        self.check_windows().map_err(of("--memory-hotplug"))
    }

    fn check_windows(&self) -> Result<(), BadValue> {
        let mut ids = BTreeSet::new();
        let mut acpi = 0;
        let mut end = u128::from(self.memory.size);
        for window in &self.windows {
            match window {
                WindowSpec::Acpi { slots, size } => {
                    check_slots(*slots)?;
                    check_multiple("size", *size, MEMORY_BLOCK)?;
                    acpi += 1;
                }
                WindowSpec::VirtioMem(device) => {
                    self.check_virtio_mem(device)?;
                    if !ids.insert(&device.id) {
                        return Err(BadValue::new("id", &device.id, "must be given to one device only"));
                    }
                }
            }
            if acpi > 1 {
                return Err(BadValue::new("method", "acpi", "must be given once at most"));
            }
            end += u128::from(window.size());
            if end > MAX_ADDRESS {
                let rule = "boot RAM and all windows together must fit into 4096 TiB";
                return Err(BadValue::new("size", Bytes(window.size()), rule));
            }
        }
        if ids.len() > MAX_VIRTIO_MEM {
            let rule = format!("must be given {MAX_VIRTIO_MEM} times at most, not {}", ids.len());
            return Err(BadValue::new("method", "virtio-mem", rule));
        }
        Ok(())
    }

    fn check_virtio_mem(&self, device: &VirtioMemSpec) -> Result<(), BadValue> {
        check_id(&device.id)?;
        let block = device.block_size;
        let (least, most) = BLOCK_SIZES;
        if !block.is_power_of_two() || !(least..=most).contains(&block) {
            let rule = format!("must be a power of two from {} to {}", Bytes(least), Bytes(most));
            return Err(BadValue::new("block", Bytes(block), rule));
        }
        check_multiple("size", device.size, MEMORY_BLOCK.max(block))?;
        if device.requested > device.size || !device.requested.is_multiple_of(block) {
            let rule = format!(
                "must be a multiple of the block size ({}), at most the device's size ({})",
                Bytes(block),
                Bytes(device.size)
            );
            return Err(BadValue::new("requested", Bytes(device.requested), rule));
        }
        self.check_node(device.node)
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

impl MemorySpec {
    fn check(&self) -> Result<(), BadValue> {
        if self.size < MIN_RAM || !self.size.is_multiple_of(PAGE) {
            let rule = format!("must be a multiple of {}, at least {}", Bytes(PAGE), Bytes(MIN_RAM));
            return Err(BadValue::new("size", Bytes(self.size), rule));
        }
        if u128::from(self.size) > MAX_ADDRESS {
            return Err(BadValue::new("size", Bytes(self.size), "must be at most 4096 TiB"));
        }
        if !(MIN_RAM..=MAX_LOW).contains(&self.low) || !self.low.is_multiple_of(PAGE) {
            let rule = format!(
                "must be a multiple of {}, from {} to {}",
                Bytes(PAGE),
                Bytes(MIN_RAM),
                Bytes(MAX_LOW)
            );
            return Err(BadValue::new("low", Bytes(self.low), rule));
        }
        Ok(())
    }
}

impl WindowSpec {
    /// Bytes of address space.
    pub const fn size(&self) -> u64 {
        match self {
            Self::Acpi { size, .. } => *size,
            Self::VirtioMem(device) => device.size,
        }
    }
}

impl DimmSpec {
    /// Checks what needs neither the machine nor the host: the id, and that the guest can take the size.
    ///
    /// # Errors
    /// The first thing that is wrong; [`BadValue::key`] is the field.
    pub fn check(&self) -> Result<(), BadValue> {
        check_id(&self.id)?;
        check_multiple("size", self.size, MEMORY_BLOCK)
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

fn check_slots(slots: u16) -> Result<(), BadValue> {
    if (1..=MAX_SLOTS).contains(&slots) {
        return Ok(());
    }
    Err(BadValue::new("slots", slots, format!("must be 1 to {MAX_SLOTS}")))
}

fn check_multiple(key: &'static str, size: u64, unit: u64) -> Result<(), BadValue> {
    if size > 0 && size.is_multiple_of(unit) {
        return Ok(());
    }
    Err(BadValue::new(key, Bytes(size), format!("must be a multiple of {}, and not 0", Bytes(unit))))
}
