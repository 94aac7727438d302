//! Memory devices as the command line has them, for the API.

use dimmer_devices::dimm::Notify;

use crate::api::types::{NewDevice, NewKind, Order};
use crate::cli::{NewDimm, NewVmem};

impl From<&NewDimm> for NewDevice {
    fn from(dimm: &NewDimm) -> Self {
        Self {
            size: dimm.size,
            ranges: dimm.ranges.clone().map(|ranges| ranges.0),
            order: if dimm.descending { Order::Descending } else { Order::Ascending },
            unaligned: dimm.unaligned,
            notify: dimm.notify,
            node: Some(dimm.node),
            start: dimm.start,
            align: dimm.align,
            ..device(&dimm.id, NewKind::Dimm)
        }
    }
}

impl From<&NewVmem> for NewDevice {
    fn from(vmem: &NewVmem) -> Self {
        Self {
            size: vmem.size,
            block_size: vmem.block,
            requested_size: vmem.requested,
            node: vmem.node,
            ..device(&vmem.id, NewKind::VirtioMem)
        }
    }
}

/// A device of which nothing else is said.
fn device(id: &str, kind: NewKind) -> NewDevice {
    NewDevice {
        id: id.to_owned(),
        kind,
        size: None,
        ranges: None,
        order: Order::default(),
        unaligned: false,
        notify: Notify::default(),
        node: None,
        start: None,
        align: None,
        block_size: None,
        requested_size: None,
    }
}
