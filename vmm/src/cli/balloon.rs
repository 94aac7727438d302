//! `--balloon [size=N][,deflate_on_oom=on|off][,free_page_reporting=on|off][,stats=on|off|SECONDS]`

use std::str::FromStr;

use super::keys::{KeyError, Keys, number, size, switch};
use crate::spec::BalloonSpec;

/// The value of `--balloon` where none is given.
pub const EMPTY: &str = "size=0";
/// Seconds between statistics with `stats=on`.
const USUAL: u32 = 5;
/// Most of them, a day.
pub const LONGEST: u32 = 24 * 60 * 60;

/// The value of `--balloon`; keys as cloud-hypervisor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalloonArg(pub BalloonSpec);

impl FromStr for BalloonArg {
    type Err = KeyError;

    fn from_str(argument: &str) -> Result<Self, KeyError> {
        let valid = ["size", "deflate_on_oom", "free_page_reporting", "stats"];
        let keys = Keys::parse(argument, &valid, &[])?;
        Ok(Self(BalloonSpec {
            size: keys.optional("size", size)?.unwrap_or(0),
            deflate_on_oom: keys.optional("deflate_on_oom", switch)?.unwrap_or(false),
            free_page_reporting: keys.optional("free_page_reporting", switch)?.unwrap_or(false),
            statistics: keys.optional("stats", interval)?.flatten(),
        }))
    }
}

fn interval(value: &str) -> Result<Option<u32>, String> {
    match switch(value) {
        Ok(is_on) => Ok(is_on.then_some(USUAL)),
        Err(_) => {
            let seconds = number(value, 1..=LONGEST);
            seconds
                .map(Some)
                .map_err(|_| format!("must be on, off, or a number of seconds from 1 to {LONGEST}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::GIB;

    #[test]
    fn each_key_is_read_and_none_is_needed() {
        let read = |argument: &str| argument.parse::<BalloonArg>().unwrap().0;
        let empty =
            BalloonSpec { size: 0, deflate_on_oom: false, free_page_reporting: false, statistics: None };
        assert_eq!(read(EMPTY), empty);
        let all =
            BalloonSpec { size: GIB, deflate_on_oom: true, free_page_reporting: true, statistics: Some(7) };
        assert_eq!(read("size=1G,deflate_on_oom=on,free_page_reporting=on,stats=7"), all);
        assert_eq!(read("stats=on").statistics, Some(USUAL));
        assert_eq!(read("stats=off,deflate_on_oom=off"), empty);
    }

    #[test]
    fn wrong_values_name_their_key() {
        for (argument, said) in [
            ("size=x", "size=x"),
            ("deflate_on_oom=yes", "deflate_on_oom=yes: must be on or off"),
            ("stats=0", "stats=0: must be on, off, or a number of seconds from 1 to 86400"),
            ("id=b", "unknown key \"id\""),
        ] {
            let error = argument.parse::<BalloonArg>().unwrap_err().to_string();
            assert!(error.contains(said), "{argument}: {error}");
        }
    }
}
