//! What a page asks to be done, as JSON: `{"do": "resize", "id": "vmem0", "size": "8G"}`.

use dimmer_agent::blocks::BlockList;
use dimmer_agent::protocol::ZoneKind;
use serde::Deserialize;

use crate::map::deed::Deed;
use crate::scenario::Size;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum Asked {
    /// A DIMM is plugged.
    Plug {
        /// Its name.
        id: String,
        /// Its size.
        size: Size,
        /// Its node.
        #[serde(default)]
        node: u32,
    },
    /// A virtio-mem device's size is asked for.
    Resize {
        /// The device.
        id: String,
        /// The size.
        size: Size,
    },
    /// The guest is asked to let a DIMM go.
    Eject {
        /// The DIMM.
        id: String,
    },
    /// Blocks are put online.
    Online {
        /// Which.
        blocks: BlockList,
        /// To which kind of zone; as the policy says if not said.
        #[serde(default)]
        zone: Option<ZoneKind>,
    },
    /// Blocks are taken offline.
    Offline {
        /// Which.
        blocks: BlockList,
    },
}

impl From<Asked> for Deed {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::Plug { id, size, node } => Self::Plug { id, size: size.0, node },
            Asked::Resize { id, size } => Self::Resize { id, size: size.0 },
            Asked::Eject { id } => Self::Eject { id },
            Asked::Online { blocks, zone } => Self::Online { blocks, zone },
            Asked::Offline { blocks } => Self::Offline { blocks },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_asks_for_is_what_is_done() {
        for (text, said) in [
            (r#"{"do":"plug","id":"d0","size":"4G"}"#, "plug d0, 4 GiB, on node 0"),
            (r#"{"do":"plug","id":"d0","size":"4G","node":1}"#, "plug d0, 4 GiB, on node 1"),
            (r#"{"do":"resize","id":"vmem0","size":"128M"}"#, "resize vmem0 to 128 MiB"),
            (r#"{"do":"eject","id":"d0"}"#, "eject d0"),
            (r#"{"do":"online","blocks":"48-50,60"}"#, "online 48-50,60"),
            (r#"{"do":"online","blocks":"48","zone":"kernel"}"#, "online 48 to a kernel zone"),
            (r#"{"do":"offline","blocks":"48"}"#, "offline 48"),
        ] {
            let asked: Asked = serde_json::from_str(text).unwrap();
            assert_eq!(Deed::from(asked).to_string(), said);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, why) in [
            (r#"{"do":"fly"}"#, "expected one of `plug`, `resize`, `eject`, `online`, `offline`"),
            (r#"{"do":"resize","id":"vmem0"}"#, "missing field `size`"),
            (r#"{"do":"resize","id":"vmem0","size":"much"}"#, "is not a size, such as"),
            (r#"{"do":"offline","blocks":"50-48"}"#, "ends before it starts"),
            (r#"{"do":"online","blocks":"48","zone":"dma"}"#, "expected `kernel` or `movable`"),
            (r#"{"do":"eject","id":"d0","force":true}"#, "unknown field `force`"),
        ] {
            let error = serde_json::from_str::<Asked>(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
