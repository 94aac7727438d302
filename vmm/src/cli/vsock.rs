//! `--vsock cid=N,path=PATH`

use std::str::FromStr;

use dimmer_devices::virtio::vsock::FIRST_GUEST;

use super::keys::{KeyError, Keys, number, text};
use crate::spec::VsockSpec;

/// The largest context ID of a guest's; the one above means any.
const LAST: u32 = u32::MAX - 1;

/// The value of `--vsock`; keys as Firecracker's configuration has them, `cid` for `guest_cid` and `path` for `uds_path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VsockArg(pub VsockSpec);

impl FromStr for VsockArg {
    type Err = KeyError;

    fn from_str(argument: &str) -> Result<Self, KeyError> {
        let keys = Keys::parse(argument, &["cid", "path"], &[])?;
        let cid = keys.required(
            "cid",
            |value| number(value, FIRST_GUEST..=LAST),
            "the guest's context ID, from 3 on",
        )?;
        let path = keys.required("path", path, "a UNIX socket for the host's programs")?;
        Ok(Self(VsockSpec { cid, path: path.into() }))
    }
}

fn path(value: &str) -> Result<String, String> {
    if value.is_empty() { Err("must be a path".to_owned()) } else { text(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_has_an_id_and_a_socket() {
        let VsockArg(spec) = "cid=3,path=/run/vm.vsock".parse().unwrap();
        assert_eq!(spec, VsockSpec { cid: 3, path: "/run/vm.vsock".into() });
        for (argument, said) in [
            ("path=/run/v", "key \"cid\" is missing"),
            ("cid=3", "key \"path\" is missing"),
            ("cid=2,path=/v", "from 3"),
            ("cid=4294967295,path=/v", "from 3"),
            ("cid=3,path=", "must be a path"),
            ("cid=3,path=/v,port=1", "unknown key"),
        ] {
            let error = argument.parse::<VsockArg>().unwrap_err().to_string();
            assert!(error.contains(said), "{argument}: {error}");
        }
    }
}
