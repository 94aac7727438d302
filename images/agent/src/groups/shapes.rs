//! Where the fields of the kernel's structures are: its BTF.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;

use btf_rs::{Backend, Btf, BtfType, Member, Type};
use rustix::fs::{MemfdFlags, memfd_create};

const PATH: &str = "/sys/kernel/btf/vmlinux";

/// The kernel's types cannot be read, or are not as expected.
#[derive(Debug, thiserror::Error)]
pub enum ShapesError {
    /// The file.
    #[error("{PATH}: {0}")]
    File(#[source] std::io::Error),
    /// Its content.
    #[error("{PATH}: {0}")]
    Btf(#[source] btf_rs::Error),
    /// A structure or a field is not there.
    #[error("{PATH}: there is no {0}")]
    Missing(String),
}

/// Offsets in bytes of what is needed of an XArray.
#[derive(Debug)]
pub(super) struct XArrayShape {
    pub(super) head: u64,
    pub(super) node_shift: u64,
    pub(super) node_slots: u64,
}

/// Offsets in bytes within `struct memory_group`.
#[derive(Debug)]
pub(super) struct GroupShape {
    pub(super) node: u64,
    pub(super) present_kernel: u64,
    pub(super) present_movable: u64,
    pub(super) is_dynamic: u64,
    pub(super) max_pages: u64,
    pub(super) unit_pages: u64,
}

/// Where a node has its zones: offsets in bytes within `struct pglist_data` and `struct zone`.
#[derive(Debug)]
pub(super) struct ZoneShape {
    /// Of the array of zones, within the node.
    pub(super) zones: u64,
    /// Bytes of a zone, and how many there are.
    pub(super) size: u64,
    pub(super) count: u64,
    pub(super) name: u64,
    pub(super) early: u64,
}

/// All offsets that are needed.
#[derive(Debug)]
pub(super) struct Shapes {
    pub(super) zone: ZoneShape,
    pub(super) xarray: XArrayShape,
    pub(super) group: GroupShape,
    /// Offset of `group` within `struct memory_block`.
    pub(super) block_group: u64,
}

impl Shapes {
    pub(super) fn read() -> Result<Self, ShapesError> {
        let btf = open()?;
        let [xarray, node] = [Structure::find(&btf, "xarray")?, Structure::find(&btf, "xa_node")?];
        let [group, block] = [Structure::find(&btf, "memory_group")?, Structure::find(&btf, "memory_block")?];
        let [node_data, zone] = [Structure::find(&btf, "pglist_data")?, Structure::find(&btf, "zone")?];
        Ok(Self {
            zone: ZoneShape {
                zones: node_data.offset(&["node_zones"])?,
                size: zone.size,
                count: node_data.length("node_zones")?,
                name: zone.offset(&["name"])?,
                early: zone.offset(&["present_early_pages"])?,
            },
            xarray: XArrayShape {
                head: xarray.offset(&["xa_head"])?,
                node_shift: node.offset(&["shift"])?,
                node_slots: node.offset(&["slots"])?,
            },
            group: GroupShape {
                node: group.offset(&["nid"])?,
                present_kernel: group.offset(&["present_kernel_pages"])?,
                present_movable: group.offset(&["present_movable_pages"])?,
                is_dynamic: group.offset(&["is_dynamic"])?,
                max_pages: group.offset(&["s", "max_pages"])?,
                unit_pages: group.offset(&["d", "unit_pages"])?,
            },
            block_group: block.offset(&["group"])?,
        })
    }
}

/// Maps the BTF, which is faster than taking it apart; the kernel's own file cannot be mapped before Linux
/// 6.16, so a copy is.
fn open() -> Result<Btf, ShapesError> {
    let bytes = std::fs::read(PATH).map_err(ShapesError::File)?;
    let copy = memfd_create("btf", MemfdFlags::CLOEXEC).map_err(|error| ShapesError::File(error.into()))?;
    let mut copy = File::from(copy);
    copy.write_all(&bytes).map_err(ShapesError::File)?;
    let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
    Btf::from_file_with_backend(path, Backend::Mmap).map_err(ShapesError::Btf)
}

/// A structure of the kernel. Finding one by its name goes through all types.
struct Structure<'a> {
    btf: &'a Btf,
    name: &'static str,
    members: Vec<Member>,
    /// Its bytes.
    size: u64,
}

impl<'a> Structure<'a> {
    fn find(btf: &'a Btf, name: &'static str) -> Result<Self, ShapesError> {
        let types = btf.resolve_types_by_name(name).map_err(ShapesError::Btf)?;
        let found = types.into_iter().find_map(|kind| match kind {
            Type::Struct(found) => Some(found),
            _ => None,
        });
        let found = found.ok_or_else(|| ShapesError::Missing(name.to_owned()))?;
        let size = found.size() as u64;
        Ok(Self { btf, name, members: found.members, size })
    }

    /// Offset in bytes of a field, which may be one of a member structure, also of one without a name.
    fn offset(&self, path: &[&str]) -> Result<u64, ShapesError> {
        let bits = bits(self.btf, &self.members, path).map_err(ShapesError::Btf)?;
        Ok(u64::from(bits.ok_or_else(|| self.missing(&path.join(".")))? / 8))
    }

    /// Elements of a field that is an array.
    fn length(&self, field: &str) -> Result<u64, ShapesError> {
        for member in &self.members {
            if self.btf.resolve_name(member).map_err(ShapesError::Btf)? == field
                && let Type::Array(array) = self.btf.resolve_chained_type(member).map_err(ShapesError::Btf)?
            {
                return Ok(array.len() as u64);
            }
        }
        Err(self.missing(field))
    }

    fn missing(&self, field: &str) -> ShapesError {
        ShapesError::Missing(format!("{}.{field}", self.name))
    }
}

fn members_of(kind: Type) -> Option<Vec<Member>> {
    match kind {
        Type::Struct(found) | Type::Union(found) => Some(found.members),
        _ => None,
    }
}

fn bits(btf: &Btf, members: &[Member], path: &[&str]) -> Result<Option<u32>, btf_rs::Error> {
    let Some((first, rest)) = path.split_first() else { return Ok(Some(0)) };
    for member in members {
        let name = btf.resolve_name(member)?;
        let inner = if name == *first { rest } else { path };
        if name == *first && rest.is_empty() {
            return Ok(Some(member.bit_offset()));
        }
        if name != *first && !name.is_empty() {
            continue;
        }
        let Some(id) = member.get_type_id() else { continue };
        let Some(within) = members_of(btf.resolve_type_by_id(id)?) else { continue };
        if let Some(found) = bits(btf, &within, inner)? {
            return Ok(Some(member.bit_offset() + found));
        }
    }
    Ok(None)
}
