//! `--firmware-range kind=pmem|nvdimm|reserved|soft-reserved,size=192M[,start=0x180000000][,node=1]`

use std::str::FromStr;

use super::keys::{KeyError, Keys, address, node, size};
use crate::spec::{FirmwareRangeKind, FirmwareRangeSpec};

const KIND_RULE: &str = "must be pmem, nvdimm, reserved or soft-reserved";

/// The value of one `--firmware-range`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirmwareRangeArg(pub FirmwareRangeSpec);

impl FromStr for FirmwareRangeArg {
    type Err = KeyError;

    fn from_str(argument: &str) -> Result<Self, KeyError> {
        let keys = Keys::parse(argument, &["kind", "size", "start", "node"], &[])?;
        Ok(Self(FirmwareRangeSpec {
            kind: keys.required("kind", kind, KIND_RULE)?,
            size: keys.required("size", size, "bytes of the range, such as size=192M")?,
            start: keys.optional("start", address)?,
            node: keys.optional("node", node)?.unwrap_or(0),
        }))
    }
}

fn kind(value: &str) -> Result<FirmwareRangeKind, String> {
    match value {
        "pmem" => Ok(FirmwareRangeKind::Pmem),
        "nvdimm" => Ok(FirmwareRangeKind::Nvdimm),
        "reserved" => Ok(FirmwareRangeKind::Reserved),
        "soft-reserved" => Ok(FirmwareRangeKind::SoftReserved),
        _ => Err(KIND_RULE.to_owned()),
    }
}
