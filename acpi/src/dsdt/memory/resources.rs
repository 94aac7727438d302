//! `_CRS` of a memory device, built when it is asked for: one address range descriptor for each
//! range in the slot, none for an empty slot.

use acpi_tables::aml::{
    Add, AddressSpace, AddressSpaceCacheable, Arg, ConcatRes, CreateQWordField, LessThan, Local, Method,
    Name, Path, ResourceTemplate, Return, Store, Subtract, While,
};
use acpi_tables::{Aml, AmlSink};

use super::super::slots::{SLOT, lock, unlock};
use super::{BASE, LENGTH, RANGE, RESOURCES_METHOD};

/// Offsets of a QWord address space descriptor's fields (ACPI 6.5, section 6.4.3.5.1).
const MINIMUM_OFFSET: u8 = 14;
const MAXIMUM_OFFSET: u8 = 22;
const LENGTH_OFFSET: u8 = 38;

/// `MCRS`: the resource template of slot `Arg0`.
///
/// The names in it belong to one call. It is serialized because two calls at once would create
/// them twice.
pub(super) struct ResourcesMethod;

impl Aml for ResourcesMethod {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let (all, count, range) = (Local(0), Local(1), Local(2));
        // To be filled in: cacheable, writable memory.
        let memory = AddressSpace::<u64>::new_memory(AddressSpaceCacheable::Cacheable, true, 0, 0, None);
        let (one, minimum, maximum, length) =
            (Path::new("RDSC"), Path::new("RMIN"), Path::new("RMAX"), Path::new("RLEN"));
        Method::new(
            RESOURCES_METHOD.into(),
            1,
            true,
            vec![
                &Name::new("RDSC".into(), &ResourceTemplate::new(vec![&memory])),
                &CreateQWordField::new(&minimum, &one, &MINIMUM_OFFSET),
                &CreateQWordField::new(&maximum, &one, &MAXIMUM_OFFSET),
                &CreateQWordField::new(&length, &one, &LENGTH_OFFSET),
                &Store::new(&all, &ResourceTemplate::new(vec![])),
                &lock(),
                &Store::new(&Path::new(SLOT), &Arg(0)),
                &Store::new(&count, &Path::new(RANGE)),
                &Store::new(&range, &0u8),
                &While::new(
                    &LessThan::new(&range, &count),
                    vec![
                        &Store::new(&Path::new(RANGE), &range),
                        &Store::new(&minimum, &Path::new(BASE)),
                        &Store::new(&length, &Path::new(LENGTH)),
                        &Add::new(&maximum, &minimum, &length),
                        &Subtract::new(&maximum, &maximum, &1u8),
                        &ConcatRes::new(&all, &all, &one),
                        &Add::new(&range, &range, &1u8),
                    ],
                ),
                &unlock(),
                &Return::new(&all),
            ],
        )
        .to_aml_bytes(sink);
    }
}
