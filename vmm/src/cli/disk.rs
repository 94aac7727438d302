//! `--disk path=FILE[,format=raw|qcow2][,readonly=on|off][,direct=on|off][,serial=TEXT][,bps=SIZE]
//! [,iops=N][,id=disk0]`

use std::str::FromStr;

use super::keys::{KeyError, Keys, path, switch, text, word};
use crate::spec::DiskSpec;

/// The value of one `--disk`; without a name until all are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskArg(DiskSpec);

impl FromStr for DiskArg {
    type Err = KeyError;

    fn from_str(argument: &str) -> Result<Self, KeyError> {
        const VALID: [&str; 8] = ["path", "format", "readonly", "direct", "serial", "bps", "iops", "id"];
        let keys = Keys::parse(argument, &VALID, &[])?;
        Ok(Self(DiskSpec {
            id: keys.optional("id", text)?.unwrap_or_default(),
            path: keys.required("path", path, "the file with the disk, such as path=disk.img")?,
            format: keys.optional("format", word)?.unwrap_or_default(),
            readonly: keys.optional("readonly", switch)?.unwrap_or(false),
            serial: keys.optional("serial", text)?.unwrap_or_default(),
            direct: keys.optional("direct", switch)?.unwrap_or(false),
            rate: keys.rate("iops")?,
        }))
    }
}

/// The disks; those without a name are `disk0`, `disk1` and so on by their place, and the guest sees the name where it is
/// to see nothing else.
pub fn disks(arguments: Vec<DiskArg>) -> Vec<DiskSpec> {
    let named = |(index, DiskArg(mut disk)): (usize, DiskArg)| {
        if disk.id.is_empty() {
            disk.id = format!("disk{index}");
        }
        if disk.serial.is_empty() {
            disk.serial = disk.id.chars().take(dimmer_devices::virtio::block::SERIAL).collect();
        }
        disk
    };
    arguments.into_iter().enumerate().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{DiskFormat, RateSpec};

    fn read(arguments: &[&str]) -> Vec<DiskSpec> {
        disks(arguments.iter().map(|argument| argument.parse().unwrap()).collect())
    }

    #[test]
    fn a_path_is_enough() {
        let all = read(&[
            "path=/a",
            "path=b,format=qcow2,readonly=on,direct=on,serial=S,bps=10M,iops=500,id=x",
            "path=c",
        ]);
        assert_eq!(all[0].id, "disk0");
        assert_eq!(
            (all[0].serial.as_str(), all[0].format, all[0].readonly),
            ("disk0", DiskFormat::Raw, false)
        );
        let expected = DiskSpec {
            id: "x".to_owned(),
            path: "b".into(),
            format: DiskFormat::Qcow2,
            readonly: true,
            serial: "S".to_owned(),
            direct: true,
            rate: RateSpec { bytes: Some(10 << 20), operations: Some(500) },
        };
        assert_eq!(all[1], expected);
        assert_eq!(all[2].id, "disk2");
    }

    #[test]
    fn wrong_values_name_their_key() {
        for (argument, said) in [
            ("format=raw", "key \"path\" is missing"),
            ("path=", "must be a path"),
            ("path=a,format=vmdk", "expected `raw` or `qcow2`"),
            ("path=a,readonly=yes", "must be on or off"),
            ("path=a,bps=0", "must be at least 1"),
            ("path=a,iops=0", "from 1"),
            ("path=a,size=1", "unknown key \"size\""),
        ] {
            let error = argument.parse::<DiskArg>().unwrap_err().to_string();
            assert!(error.contains(said), "{argument}: {error}");
        }
    }
}
