//! `--net tap=NAME|fd=N|socket=PATH[,mac=02:00:00:00:00:01][,mtu=1500][,bps=SIZE][,pps=N][,id=net0]`

use std::str::FromStr;

use dimmer_devices::virtio::net::MTU;
use rustix::rand::{GetRandomFlags, getrandom};

use super::keys::{KeyError, Keys, number, text};
use crate::spec::{Mac, NetSpec, WireSpec};

/// Longest name of a network device of the host's (`IFNAMSIZ` with its end).
const LONGEST_TAP: usize = 15;

/// The value of one `--net`; without a name until all are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetArg(NetSpec);

impl FromStr for NetArg {
    type Err = KeyError;

    fn from_str(argument: &str) -> Result<Self, KeyError> {
        let keys = Keys::parse(argument, &["tap", "fd", "socket", "mac", "mtu", "bps", "pps", "id"], &[])?;
        let wire = wire(&keys)?;
        let mac = keys.optional("mac", |value| value.parse::<Mac>())?;
        Ok(Self(NetSpec {
            id: keys.optional("id", text)?.unwrap_or_default(),
            wire,
            mac: mac.unwrap_or_else(fresh),
            mtu: keys.optional("mtu", |value| number(value, MTU))?,
            rate: keys.rate("pps")?,
        }))
    }
}

fn wire(keys: &Keys<'_>) -> Result<WireSpec, KeyError> {
    let one = "one of tap, fd and socket says where frames go";
    if let Some(name) = keys.optional("tap", tap)? {
        keys.absent("fd", one)?;
        keys.absent("socket", one)?;
        return Ok(WireSpec::Tap(name));
    }
    if let Some(fd) = keys.optional("fd", |value| number(value, 3..=i32::MAX))? {
        keys.absent("socket", one)?;
        return Ok(WireSpec::Fd(fd));
    }
    let rule = "or fd=N or socket=PATH: where frames go, such as tap=tap0";
    match keys.optional("socket", text)? {
        Some(path) if !path.is_empty() => Ok(WireSpec::Socket(path.into())),
        Some(path) => Err(KeyError::Value { key: "socket", value: path, rule: "must be a path".to_owned() }),
        None => Err(KeyError::Missing { key: "tap", rule: rule.to_owned() }),
    }
}

fn tap(value: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/' && byte != b':';
    if value.is_empty() || value.len() > LONGEST_TAP || value.starts_with('.') || !value.bytes().all(plain) {
        return Err(format!("must be a network device's name of at most {LONGEST_TAP} characters"));
    }
    Ok(value.to_owned())
}

fn fresh() -> Mac {
    let mut random = [0; 6];
    // Without random bytes two machines may have one address; the host has them since it booted.
    let _ = getrandom(&mut random, GetRandomFlags::empty());
    Mac::of(random)
}

/// The network devices; those without a name are `net0`, `net1` and so on by their place.
pub fn nets(arguments: Vec<NetArg>) -> Vec<NetSpec> {
    let named = |(index, NetArg(mut net)): (usize, NetArg)| {
        if net.id.is_empty() {
            net.id = format!("net{index}");
        }
        net
    };
    arguments.into_iter().enumerate().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::RateSpec;

    #[test]
    fn a_wire_is_enough() {
        let read = |argument: &str| argument.parse::<NetArg>().unwrap();
        let all = nets(vec![
            read("tap=tap0"),
            read("socket=/run/passt,mac=02:00:00:00:00:01,mtu=9000,bps=1M,id=x"),
            read("fd=5"),
        ]);
        assert_eq!((all[0].id.as_str(), &all[0].wire), ("net0", &WireSpec::Tap("tap0".to_owned())));
        let expected = NetSpec {
            id: "x".to_owned(),
            wire: WireSpec::Socket("/run/passt".into()),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            mtu: Some(9000),
            rate: RateSpec { bytes: Some(1 << 20), operations: None },
        };
        assert_eq!(all[1], expected);
        assert_eq!(all[2].wire, WireSpec::Fd(5));
        assert_ne!(all[0].mac, all[2].mac);
    }

    #[test]
    fn wrong_values_name_their_key() {
        for (argument, said) in [
            ("mtu=1500", "key \"tap\" is missing"),
            ("tap=", "network device's name"),
            ("tap=0123456789abcdef", "at most 15"),
            ("tap=a/b", "network device's name"),
            ("tap=a,fd=3", "fd=3: one of"),
            ("fd=2", "from 3"),
            ("tap=a,mac=1", "must be the address of one device"),
            ("tap=a,mtu=10", "from 68"),
            ("socket=", "must be a path"),
        ] {
            let error = argument.parse::<NetArg>().unwrap_err().to_string();
            assert!(error.contains(said), "{argument}: {error}");
        }
    }
}
