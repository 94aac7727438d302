//! Persistent memory.

use std::collections::BTreeSet;

use super::{BadValue, check_id, check_multiple};
use crate::spec::MachineSpec;
use crate::units::MIB;

/// What the size of persistent memory is a multiple of: Linux maps it in parts of sections (`PAGES_PER_SUBSECTION`,
/// `check_pfn_span` in mm/sparse.c and mm/memory_hotplug.c).
pub const PMEM_UNIT: u64 = 2 * MIB;

impl MachineSpec {
    /// Checks all persistent memory: names that are names and each one's own, also beside those of memory devices.
    pub(super) fn check_pmems(&self) -> Result<(), BadValue> {
        let mut seen: BTreeSet<&str> = self.memory_ids().map(|(_, id)| id).collect();
        for pmem in &self.pmems {
            check_id(&pmem.id)?;
            if !seen.insert(&pmem.id) {
                return Err(BadValue::new("id", &pmem.id, "must be given to one device only"));
            }
            pmem.size.map_or(Ok(()), |size| check_multiple("size", size, PMEM_UNIT))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{PmemSpec, WindowSpec, sample};
    use crate::units::GIB;

    fn machine(pmems: &[(&str, Option<u64>)]) -> MachineSpec {
        let pmem = |&(id, size): &(&str, Option<u64>)| PmemSpec {
            id: id.to_owned(),
            path: "/pmem".into(),
            size,
            readonly: false,
        };
        let windows = vec![WindowSpec::VirtioMem(sample::virtio_mem(GIB, 2 * MIB))];
        MachineSpec { windows, pmems: pmems.iter().map(pmem).collect(), ..sample::machine() }
    }

    #[test]
    fn names_are_each_ones_own_and_sizes_are_of_whole_parts() {
        machine(&[("a", None), ("b", Some(6 * MIB))]).check().unwrap();
        for (pmems, said) in [
            (vec![("a", None), ("a", None)], "--pmem: id=a: must be given to one device only"),
            (vec![("vmem0", None)], "--pmem: id=vmem0: must be given to one device only"),
            (vec![("a b", None)], "--pmem: id=\"a b\": must be 1 to 64"),
            (vec![("a", Some(MIB))], "--pmem: size=1 MiB: must be a multiple of 2 MiB"),
            (vec![("a", Some(0))], "--pmem: size=0 bytes: must be a multiple of 2 MiB"),
        ] {
            let error = machine(&pmems).check().unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
