//! Disks.

use std::collections::BTreeSet;

use super::{BadValue, check_id};
use crate::spec::{DiskSpec, SERIAL};

/// Checks all disks: names that are names, and each one's own.
pub(super) fn check(disks: &[DiskSpec]) -> Result<(), BadValue> {
    let mut seen = BTreeSet::new();
    for DiskSpec { id, serial, .. } in disks {
        check_id(id)?;
        if !seen.insert(id) {
            return Err(BadValue::new("id", id, "must be given to one disk only"));
        }
        if serial.len() > SERIAL || serial.contains(|char: char| !char.is_ascii_graphic()) {
            let rule = format!("must be at most {SERIAL} letters, digits and signs of ASCII, without blanks");
            return Err(BadValue::new("serial", format!("{serial:?}"), rule));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{DiskFormat, RateSpec};

    fn disk(id: &str, serial: &str) -> DiskSpec {
        DiskSpec {
            id: id.to_owned(),
            path: "/disk".into(),
            format: DiskFormat::Raw,
            readonly: false,
            serial: serial.to_owned(),
            direct: false,
            rate: RateSpec::default(),
        }
    }

    #[test]
    fn names_are_names_and_each_disks_own() {
        let complaint = |disks: &[DiskSpec]| check(disks).unwrap_err().to_string();
        check(&[disk("a", "12345678901234567890"), disk("b", "")]).unwrap();
        assert!(complaint(&[disk("a", ""), disk("a", "")]).contains("one disk only"));
        assert!(complaint(&[disk("a b", "")]).starts_with("id="));
        for serial in ["123456789012345678901", "a b", "\u{e9}"] {
            assert!(complaint(&[disk("a", serial)]).starts_with("serial="), "{serial}");
        }
    }
}
