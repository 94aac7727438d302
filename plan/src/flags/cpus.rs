//! `--cpus N[,max=M]`, also `boot=N,max=M` as cloud-hypervisor spells it.

use std::str::FromStr;

use super::keys::{KeyError, Keys, number};

/// The value of `--cpus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpusArg {
    /// Virtual CPUs at boot.
    pub boot: u32,
    /// Most that there can be; as many as at boot where it is absent.
    pub max: Option<u32>,
}

impl FromStr for CpusArg {
    type Err = KeyError;

    fn from_str(argument: &str) -> Result<Self, KeyError> {
        let (first, rest) =
            argument.split_once(',').map_or((argument, None), |(first, rest)| (first, Some(rest)));
        let spelled = match (first.contains('='), rest) {
            (true, _) => argument.to_owned(),
            (false, None) => format!("boot={first}"),
            (false, Some(rest)) => format!("boot={first},{rest}"),
        };
        let keys = Keys::parse(&spelled, &["boot", "max"], &[])?;
        let count = |value: &str| {
            number(value, 0..=u32::MAX).map_err(|_| "must be a number of virtual CPUs".to_owned())
        };
        Ok(Self { boot: keys.optional("boot", count)?.unwrap_or(1), max: keys.optional("max", count)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_alone_is_the_number_at_boot() {
        for (argument, boot, max) in [
            ("3", 3, None),
            ("2,max=8", 2, Some(8)),
            ("boot=2,max=8", 2, Some(8)),
            ("max=8,boot=2", 2, Some(8)),
            ("max=8", 1, Some(8)),
            ("0", 0, None),
        ] {
            assert_eq!(argument.parse(), Ok(CpusArg { boot, max }), "{argument}");
        }
    }

    #[test]
    fn wrong_values_name_their_key() {
        for (argument, said) in [
            ("many", "boot=many: must be a number of virtual CPUs"),
            ("-1", "boot=-1: must be a number"),
            ("2,max=x", "max=x: must be a number"),
            ("2,3", "\"3\" is not KEY=VALUE (valid keys: boot, max)"),
            ("2,boot=3", "key \"boot\" is given twice"),
            ("cores=2", "unknown key \"cores\" (valid: boot, max)"),
            ("", "boot=: must be"),
        ] {
            let error = argument.parse::<CpusArg>().unwrap_err().to_string();
            assert!(error.starts_with(said), "{argument}: {error}");
        }
    }
}
