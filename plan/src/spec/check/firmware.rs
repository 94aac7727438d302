//! Whether the ranges of the firmware's memory map make sense. Where they may lie is a matter of the
//! layout.

use super::{BadValue, MAX_ADDRESS, PAGE, check_multiple};
use crate::spec::{FirmwareRangeSpec, MachineSpec};
use crate::units::Bytes;

/// Most ranges: there is room for 128 entries in `boot_params`, and RAM needs a few.
const MAX_FIRMWARE_RANGES: usize = 64;

impl MachineSpec {
    pub(super) fn check_firmware_ranges(&self) -> Result<(), BadValue> {
        let count = self.firmware_ranges.len();
        if count > MAX_FIRMWARE_RANGES {
            let rule = format!("must be given {MAX_FIRMWARE_RANGES} times at most, not {count}");
            return Err(BadValue::new("kind", "pmem|nvdimm|reserved|soft-reserved", rule));
        }
        self.firmware_ranges.iter().try_for_each(|range| {
            let unit = if range.kind.has_memory() { self.memory.backing.page_size() } else { PAGE };
            check_multiple("size", range.size, unit)?;
            check_start(range, unit)?;
            self.check_node_of(range)
        })?;
        if self.firmware_end() > MAX_ADDRESS {
            let largest = self.firmware_ranges.iter().map(|range| range.size).max().unwrap_or(0);
            return Err(BadValue::new("size", Bytes(largest), "all ranges must end within 4096 TiB"));
        }
        Ok(())
    }

    /// Only of some ranges the firmware says of which node they are.
    fn check_node_of(&self, range: &FirmwareRangeSpec) -> Result<(), BadValue> {
        if range.kind.has_node() {
            return self.check_node(range.node);
        }
        if range.node == 0 {
            return Ok(());
        }
        Err(BadValue::new("node", range.node, "must be of a range of kind=nvdimm or kind=soft-reserved"))
    }

    /// An address that neither boot RAM nor a firmware range lies beyond.
    pub(super) fn firmware_end(&self) -> u128 {
        self.firmware_ranges.iter().fold(self.memory.end(), |end, range| {
            end.max(range.start.unwrap_or(0).into()) + u128::from(range.size)
        })
    }
}

fn check_start(range: &FirmwareRangeSpec, unit: u64) -> Result<(), BadValue> {
    match range.start {
        Some(start) if !start.is_multiple_of(unit) => {
            let rule = format!("must be a multiple of {}", Bytes(unit));
            Err(BadValue::new("start", format!("{start:#x}"), rule))
        }
        _ => Ok(()),
    }
}
