//! A network device of the machine's.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::RateSpec;

/// One network device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetSpec {
    /// Its name.
    pub id: String,
    /// Where its frames go.
    pub wire: WireSpec,
    /// Its address.
    pub mac: Mac,
    /// The largest payload of a frame that the guest is told of.
    pub mtu: Option<u16>,
    /// How much it may carry in each direction.
    #[serde(default)]
    pub rate: RateSpec,
}

/// Where frames go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WireSpec {
    /// A TAP device of the host's with this name, made where there is none.
    Tap(String),
    /// A TAP device that this process was started with, by its descriptor.
    Fd(i32),
    /// A UNIX stream socket that somebody listens on, such as passt; each frame behind its length, 32 bits in network order.
    Socket(PathBuf),
}

impl fmt::Display for WireSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tap(name) => write!(f, "tap={name}"),
            Self::Fd(number) => write!(f, "fd={number}"),
            Self::Socket(path) => write!(f, "socket={}", path.display()),
        }
    }
}

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// One that nobody was given: local, and of a single device.
    pub const fn of(random: [u8; 6]) -> Self {
        let [first, rest @ ..] = random;
        let [a, b, c, d, e] = rest;
        Self([first & 0xfc | 2, a, b, c, d, e])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, rest @ ..] = self.0;
        write!(f, "{first:02x}")?;
        rest.iter().try_for_each(|byte| write!(f, ":{byte:02x}"))
    }
}

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rule = || "must be the address of one device, such as 02:00:00:00:00:01".to_owned();
        let bytes: Option<Vec<u8>> = text
            .split(':')
            .map(|part| {
                let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
                u8::from_str_radix(part, 16).ok().filter(|_| digits)
            })
            .collect();
        let bytes: [u8; 6] = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(rule)?;
        // The lowest bit of the first byte is that of a group.
        if bytes[0] & 1 != 0 || bytes == [0; 6] { Err(rule()) } else { Ok(Self(bytes)) }
    }
}

impl TryFrom<String> for Mac {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        let mac: Mac = "02:00:00:00:0A:ff".parse().unwrap();
        assert_eq!(mac, Mac([2, 0, 0, 0, 10, 255]));
        assert_eq!(mac.to_string(), "02:00:00:00:0a:ff");
        for wrong in [
            "",
            "02:00:00:00:00",
            "02:00:00:00:00:1",
            "02:00:00:00:00:+1",
            "01:00:00:00:00:01",
            "00:00:00:00:00:00",
        ] {
            assert!(wrong.parse::<Mac>().is_err(), "{wrong}");
        }
        for random in [[0xff; 6], [0; 6]] {
            assert_eq!(Mac::of(random).to_string().parse(), Ok(Mac::of(random)));
        }
    }
}
