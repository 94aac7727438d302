//! `--memory-hotplug method=acpi,slots=16,size=64G` and
//! `--memory-hotplug method=virtio-mem,size=32G[,id=vmem0][,block=2M][,node=0][,requested=0]`

use std::str::FromStr;

use super::keys::{KeyError, Keys, node, number, size, text};
use crate::spec::{VirtioMemSpec, WindowSpec};
use crate::units::MIB;

/// Keys of all methods; each method then has its own.
const ANY: [&str; 7] = ["method", "slots", "size", "id", "block", "node", "requested"];
const ACPI: [&str; 3] = ["method", "slots", "size"];
const VIRTIO_MEM: [&str; 6] = ["method", "size", "id", "block", "node", "requested"];

/// Block size of a virtio-mem device without `block`: one huge page.
const DEFAULT_BLOCK: u64 = 2 * MIB;

/// The value of one `--memory-hotplug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HotplugArg {
    /// Slots for ACPI memory devices.
    Acpi {
        /// Number of slots.
        slots: u16,
        /// Bytes of address space.
        size: u64,
    },
    /// One virtio-mem device.
    VirtioMem {
        /// Its name, if one was given.
        id: Option<String>,
        /// Everything else; its id is empty.
        device: VirtioMemSpec,
    },
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
                Ok(Self::Acpi { slots, size })
            }
            Method::VirtioMem => virtio_mem(&Keys::parse(argument, &VIRTIO_MEM, &[])?),
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

fn virtio_mem(keys: &Keys<'_>) -> Result<HotplugArg, KeyError> {
    let device = VirtioMemSpec {
        id: String::new(),
        size: keys.required("size", size, "bytes of the device, such as size=32G")?,
        block_size: keys.optional("block", size)?.unwrap_or(DEFAULT_BLOCK),
        node: keys.optional("node", node)?.unwrap_or(0),
        requested: keys.optional("requested", size)?.unwrap_or(0),
    };
    Ok(HotplugArg::VirtioMem { id: keys.optional("id", text)?, device })
}

/// The windows of all `--memory-hotplug`, in their order. A virtio-mem device without a name gets the first
/// of `vmem0`, `vmem1`, … that no other device has.
pub fn windows(arguments: Vec<HotplugArg>) -> Vec<WindowSpec> {
    let given = |argument: &HotplugArg| match argument {
        HotplugArg::VirtioMem { id, .. } => id.clone(),
        HotplugArg::Acpi { .. } => None,
    };
    let taken: Vec<String> = arguments.iter().filter_map(given).collect();
    let mut free = (0u32..).map(|number| format!("vmem{number}")).filter(|id| !taken.contains(id));
    let window = |argument| match argument {
        HotplugArg::Acpi { slots, size } => WindowSpec::Acpi { slots, size },
        HotplugArg::VirtioMem { id, device } => {
            let id = id.or_else(|| free.next()).expect("there are more numbers than devices");
            WindowSpec::VirtioMem(VirtioMemSpec { id, ..device })
        }
    };
    arguments.into_iter().map(window).collect()
}
