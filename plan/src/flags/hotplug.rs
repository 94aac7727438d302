//! `--memory-hotplug method=acpi,slots=16,size=64G[,start=ADDRESS][,align=2G]` and `--memory-hotplug
//! method=virtio-mem,size=32G[,id=vmem0][,block=2M][,slot=128M][,node=0][,requested=0][,start=ADDRESS][,align=2G]
//! [,legacy=on|off][,present=on|off]`

use std::str::FromStr;

use crate::placement::Placement;

use super::keys::{KeyError, Keys, node, number, size, switch, text};
use crate::spec::{Backing, VirtioMemSpec, WindowSpec};
use crate::units::MIB;

/// Keys of all methods; each method then has its own.
const ANY: [&str; 12] = [
    "method",
    "slots",
    "size",
    "id",
    "block",
    "slot",
    "node",
    "requested",
    "start",
    "align",
    "legacy",
    "present",
];
const ACPI: [&str; 5] = ["method", "slots", "size", "start", "align"];
const VIRTIO_MEM: [&str; 11] =
    ["method", "size", "id", "block", "slot", "node", "requested", "start", "align", "legacy", "present"];

/// Block size of a virtio-mem device without `block`: one huge page, or the host's own one when that is
/// larger.
const DEFAULT_BLOCK: u64 = 2 * MIB;
/// Largest KVM memory slot of a virtio-mem device without `slot`, unless its blocks are larger.
const DEFAULT_SLOT: u64 = 128 * MIB;

/// The value of one `--memory-hotplug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HotplugArg {
    /// Slots for ACPI memory devices.
    Acpi {
        /// Number of slots.
        slots: u16,
        /// Bytes of address space.
        size: u64,
        /// Where it lies.
        placement: Placement,
    },
    /// One virtio-mem device.
    VirtioMem(VirtioMemArg),
}

/// A virtio-mem device; what was not given depends on the rest of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtioMemArg {
    id: Option<String>,
    size: u64,
    block: Option<u64>,
    slot: Option<u64>,
    node: u32,
    requested: u64,
    placement: Placement,
    legacy: bool,
    present: bool,
}

#[derive(Debug, Clone, Copy)]
enum Method {
    Acpi,
    VirtioMem,
}

impl FromStr for HotplugArg {
    type Err = KeyError;

    fn from_str(argument: &str) -> Result<Self, KeyError> {
        match chosen_method(argument)? {
            Method::Acpi => {
                let keys = Keys::parse(argument, &ACPI, &[])?;
                let rule = "number of DIMM slots, such as slots=16";
                let slots = keys.required("slots", |value| number(value, 0..=u16::MAX), rule)?;
                let size = keys.required("size", size, "bytes of address space, such as size=64G")?;
                Ok(Self::Acpi { slots, size, placement: keys.placement()? })
            }
            Method::VirtioMem => virtio_mem(&Keys::parse(argument, &VIRTIO_MEM, &[])?).map(Self::VirtioMem),
        }
    }
}

/// The method decides which keys there are, so it is looked up before they are checked.
fn chosen_method(argument: &str) -> Result<Method, KeyError> {
    let method = argument.split(',').find(|piece| piece.starts_with("method="));
    Keys::parse(method.unwrap_or(argument), &ANY, &[])?.required("method", read_method, METHOD_RULE)
}

const METHOD_RULE: &str = "must be acpi or virtio-mem";

fn read_method(value: &str) -> Result<Method, String> {
    match value {
        "acpi" => Ok(Method::Acpi),
        "virtio-mem" => Ok(Method::VirtioMem),
        _ => Err(METHOD_RULE.to_owned()),
    }
}

fn virtio_mem(keys: &Keys<'_>) -> Result<VirtioMemArg, KeyError> {
    Ok(VirtioMemArg {
        id: keys.optional("id", text)?,
        size: keys.required("size", size, "bytes of the device, such as size=32G")?,
        block: keys.optional("block", size)?,
        slot: keys.optional("slot", size)?,
        node: keys.optional("node", node)?.unwrap_or(0),
        requested: keys.optional("requested", size)?.unwrap_or(0),
        placement: keys.placement()?,
        legacy: keys.optional("legacy", switch)?.unwrap_or(false),
        present: keys.optional("present", switch)?.unwrap_or(true),
    })
}

impl VirtioMemArg {
    fn into_spec(self, id: String, backing: &Backing) -> VirtioMemSpec {
        let block_size = self.block.unwrap_or_else(|| DEFAULT_BLOCK.max(backing.page_size()));
        VirtioMemSpec {
            id,
            size: self.size,
            block_size,
            slot_size: self.slot.unwrap_or_else(|| DEFAULT_SLOT.max(block_size)),
            node: self.node,
            requested: self.requested,
            placement: self.placement,
            legacy: self.legacy,
            present: self.present,
        }
    }
}

/// The windows of all `--memory-hotplug`, in their order. A virtio-mem device without a name gets the first
/// of `vmem0`, `vmem1`, … that no other device has; `taken` are the names of DIMMs.
pub fn windows(arguments: Vec<HotplugArg>, backing: &Backing, taken: &[&str]) -> Vec<WindowSpec> {
    let given = |argument: &HotplugArg| match argument {
        HotplugArg::VirtioMem(device) => device.id.clone(),
        HotplugArg::Acpi { .. } => None,
    };
    let given: Vec<String> = arguments.iter().filter_map(given).collect();
    let is_free = |id: &String| !given.contains(id) && !taken.contains(&id.as_str());
    let mut free = (0u32..).map(|number| format!("vmem{number}")).filter(is_free);
    let window = |argument| match argument {
        HotplugArg::Acpi { slots, size, placement } => WindowSpec::Acpi { slots, size, placement },
        HotplugArg::VirtioMem(mut device) => {
            let id = device.id.take().or_else(|| free.next());
            let id = id.expect("there are more numbers than devices");
            WindowSpec::VirtioMem(device.into_spec(id, backing))
        }
    };
    arguments.into_iter().map(window).collect()
}
