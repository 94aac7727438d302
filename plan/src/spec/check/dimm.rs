//! Whether an ACPI memory device makes sense: its name, its ranges, its node.

use crate::dimm::{Dimm, ShapeError};
use crate::placement::PlacementError;
use dimmer_acpi::hotplug::MAX_RANGES;

use super::{BadValue, check_id};
use crate::spec::{DimmSpec, MachineSpec, WindowSpec};
use crate::units::Bytes;

impl DimmSpec {
    /// Checks what needs neither the machine nor the host: the id and the ranges.
    ///
    /// # Errors
    /// The first thing that is wrong; [`BadValue::key`] is the field.
    pub fn check(&self) -> Result<(), BadValue> {
        check(&self.dimm)
    }
}

fn check(dimm: &Dimm) -> Result<(), BadValue> {
    check_id(&dimm.id)?;
    Ok(dimm.check()?)
}

impl From<ShapeError> for BadValue {
    fn from(error: ShapeError) -> Self {
        let multiple = |unit| format!("must be a multiple of {}", Bytes(unit));
        match error {
            ShapeError::Count(count) => {
                Self::new("ranges", count, format!("must be 1 to {MAX_RANGES} ranges"))
            }
            ShapeError::Size { field, size, unit } => {
                Self::new(field, Bytes(size), format!("{}, and not 0", multiple(unit)))
            }
            ShapeError::Gap { index, gap, unit } => {
                Self::new(format!("ranges[{index}].gap"), Bytes(gap), multiple(unit))
            }
            ShapeError::Placement(error) => error.into(),
        }
    }
}

impl From<PlacementError> for BadValue {
    fn from(error: PlacementError) -> Self {
        match error {
            PlacementError::Align { align, least } => Self::new(
                "align",
                Bytes(align),
                format!("must be a power of two of at least {}", Bytes(least)),
            ),
            PlacementError::Start { start, unit } => {
                Self::new("start", format!("{start:#x}"), format!("must be a multiple of {}", Bytes(unit)))
            }
        }
    }
}

impl MachineSpec {
    pub(super) fn check_dimms(&self) -> Result<(), BadValue> {
        let Some(first) = self.dimms.first() else { return Ok(()) };
        let slots = self.windows.iter().find_map(|window| match window {
            WindowSpec::Acpi { slots, .. } => Some(usize::from(*slots)),
            WindowSpec::VirtioMem(_) => None,
        });
        let Some(slots) = slots else {
            let rule = "needs slots: give --memory-hotplug method=acpi,slots=N,size=S, too";
            return Err(BadValue::new("id", &first.id, rule));
        };
        if let Some(homeless) = self.dimms.get(slots) {
            let rule = format!("there are only {slots} slots; see --memory-hotplug method=acpi");
            return Err(BadValue::new("id", &homeless.id, rule));
        }
        self.dimms.iter().try_for_each(|dimm| {
            check(dimm)?;
            self.check_dimm(dimm)
        })
    }

    /// Checks that this machine can have `dimm`, which makes sense in itself: its node, and that host
    /// memory comes in such sizes.
    ///
    /// # Errors
    /// The first thing that is wrong; [`BadValue::key`] is the field.
    pub fn check_dimm(&self, dimm: &Dimm) -> Result<(), BadValue> {
        self.check_node(dimm.node)?;
        let page = self.memory.backing.page_size();
        let odd = |bytes: u64| !bytes.is_multiple_of(page);
        if let Some(start) = dimm.placement.start.filter(|start| odd(*start)) {
            return Err(PlacementError::Start { start, unit: page }.into());
        }
        match dimm.ranges.iter().find(|range| odd(range.size) || odd(range.gap)) {
            None => Ok(()),
            Some(range) => {
                let rule =
                    format!("sizes and gaps must be multiples of the host's huge pages of {}", Bytes(page));
                let value = if odd(range.size) { range.size } else { range.gap };
                Err(BadValue::new("size", Bytes(value), rule))
            }
        }
    }
}
