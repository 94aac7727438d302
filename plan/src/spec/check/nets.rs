//! Network devices.

use std::collections::BTreeSet;

use super::{BadValue, check_id};
use crate::spec::NetSpec;

/// Checks all network devices: names that are names, and each one's own, as are addresses.
pub(super) fn check(nets: &[NetSpec]) -> Result<(), BadValue> {
    let (mut names, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for NetSpec { id, mac, .. } in nets {
        check_id(id)?;
        if !names.insert(id) {
            return Err(BadValue::new("id", id, "must be given to one network device only"));
        }
        if !addresses.insert(mac.0) {
            return Err(BadValue::new("mac", mac, "must be given to one network device only"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Mac, RateSpec, WireSpec};

    #[test]
    fn names_and_addresses_are_each_devices_own() {
        let net = |id: &str, last| NetSpec {
            id: id.to_owned(),
            wire: WireSpec::Tap("tap0".to_owned()),
            mac: Mac([2, 0, 0, 0, 0, last]),
            mtu: None,
            rate: RateSpec::default(),
        };
        check(&[net("a", 1), net("b", 2)]).unwrap();
        assert!(check(&[net("a", 1), net("a", 2)]).unwrap_err().to_string().starts_with("id=a"));
        assert!(
            check(&[net("a", 1), net("b", 1)]).unwrap_err().to_string().starts_with("mac=02:00:00:00:00:01")
        );
        assert!(check(&[net("a/b", 1)]).is_err());
    }
}
