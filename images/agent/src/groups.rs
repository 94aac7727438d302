//! Memory groups, which no file of Linux shows: read from the kernel's own structures.
//!
//! The kernel is as it comes: where its variables are says /proc/kallsyms ([`symbols`]), what they look
//! like its BTF in /sys/kernel/btf/vmlinux ([`shapes`]), and what is in them /proc/kcore ([`kcore`]). Two
//! XArrays are walked ([`xarray`]): `memory_groups` of mm/memory_hotplug.c's groups by number, and
//! `memory_blocks` of drivers/base/memory.c's blocks, each of which points to its group. The nodes' zones
//! tell what they have of boot memory ([`zones`]).

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use crate::report::{Group, GroupKind};
use kcore::Kcore;
use shapes::{Shapes, ShapesError};
use symbols::address_of;

mod kcore;
mod shapes;
mod symbols;
mod xarray;
mod zones;

pub use zones::EarlyPages;

/// The kernel's groups cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum GroupsError {
    /// A file that tells of the kernel's memory.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: &'static str,
        /// What is wrong.
        #[source]
        error: io::Error,
    },
    /// The kernel has no such variable, or does not tell where.
    #[error("/proc/kallsyms: {0} is not there or its address is hidden")]
    Symbol(&'static str),
    /// The kernel's types are not as expected.
    #[error(transparent)]
    Shapes(#[from] ShapesError),
}

/// For `map_err`: names the file.
fn file(path: &'static str) -> impl FnOnce(io::Error) -> GroupsError {
    move |error| GroupsError::File { path, error }
}

/// Where and how to read them.
#[derive(Debug)]
pub struct Groups {
    shapes: Shapes,
    /// Address of the XArray of groups, and of that of blocks.
    groups: u64,
    blocks: u64,
    /// Address of the array of nodes.
    nodes: u64,
}

/// The groups, which of them each memory block is in, and what of each zone is boot memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// By number, ascending.
    pub groups: Vec<Group>,
    /// Block number and group number, ascending; blocks without a group are missing.
    pub blocks: Vec<(u64, u32)>,
    /// Boot memory of the zones of all nodes; an older agent does not say.
    #[serde(default)]
    pub early: Vec<EarlyPages>,
}

impl Groups {
    /// Finds the kernel's variables and types. That takes a moment and need not be done again while the
    /// kernel runs.
    ///
    /// # Errors
    /// [`GroupsError`] says what the kernel does not tell.
    pub fn find() -> Result<Self, GroupsError> {
        let [groups, blocks, nodes] = address_of(["memory_groups", "memory_blocks", "node_data"])?;
        Ok(Self { shapes: Shapes::read()?, groups, blocks, nodes })
    }

    /// Reads all groups as they are now.
    ///
    /// # Errors
    /// [`GroupsError::File`] when the kernel's memory cannot be read, also when a structure goes while it
    /// is read; another attempt helps then.
    pub fn read(&self) -> Result<Membership, GroupsError> {
        let kcore = Kcore::open().map_err(file(kcore::PATH))?;
        self.walk(&kcore).map_err(file(kcore::PATH))
    }

    fn walk(&self, kcore: &Kcore) -> io::Result<Membership> {
        let early = zones::early(kcore, &self.shapes.zone, self.nodes)?;
        let mut found = Membership { early, ..Membership::default() };
        let mut numbers = BTreeMap::new();
        for (number, address) in xarray::entries(kcore, &self.shapes.xarray, self.groups)? {
            let number =
                u32::try_from(number).map_err(|_| io::Error::other("a group's number is no number"))?;
            numbers.insert(address, number);
            found.groups.push(self.group(kcore, number, address)?);
        }
        for (index, address) in xarray::entries(kcore, &self.shapes.xarray, self.blocks)? {
            let group = kcore.u64(address + self.shapes.block_group)?;
            if group != 0 {
                let number =
                    numbers.get(&group).ok_or_else(|| io::Error::other("a block's group is unknown"))?;
                found.blocks.push((index, *number));
            }
        }
        Ok(found)
    }

    fn group(&self, kcore: &Kcore, id: u32, address: u64) -> io::Result<Group> {
        let shape = &self.shapes.group;
        let is_dynamic = kcore.u8(address + shape.is_dynamic)? != 0;
        let pages = kcore.u64(address + if is_dynamic { shape.unit_pages } else { shape.max_pages })?;
        let node = kcore.u32(address + shape.node)?;
        Ok(Group {
            id,
            node: Some(node),
            kind: if is_dynamic { GroupKind::Dynamic } else { GroupKind::Static },
            present_kernel: kcore.u64(address + shape.present_kernel)?,
            present_movable: kcore.u64(address + shape.present_movable)?,
            max_pages: (!is_dynamic).then_some(pages),
            unit_pages: is_dynamic.then_some(pages),
        })
    }
}
