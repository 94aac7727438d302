//! `--pmem file=PATH[,size=SIZE][,readonly=on|off][,id=pmem0]`

use std::path::PathBuf;
use std::str::FromStr;

use super::keys::{KeyError, Keys, path, size, switch, text};
use crate::spec::PmemSpec;

/// The value of one `--pmem`; without a name until all are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PmemArg(PmemSpec);

impl FromStr for PmemArg {
    type Err = KeyError;

    fn from_str(argument: &str) -> Result<Self, KeyError> {
        const RULE: &str = "the file with the memory, such as file=pmem.img";
        let keys = Keys::parse(argument, &["file", "size", "readonly", "id"], &[])?;
        let file: PathBuf = keys.required("file", path, RULE)?;
        Ok(Self(PmemSpec {
            id: keys.optional("id", text)?.unwrap_or_default(),
            path: file,
            size: keys.optional("size", size)?,
            readonly: keys.optional("readonly", switch)?.unwrap_or(false),
        }))
    }
}

/// All of them; those without a name are `pmem0`, `pmem1` and so on by their place.
pub fn pmems(arguments: Vec<PmemArg>) -> Vec<PmemSpec> {
    let named = |(index, PmemArg(mut pmem)): (usize, PmemArg)| {
        if pmem.id.is_empty() {
            pmem.id = format!("pmem{index}");
        }
        pmem
    };
    arguments.into_iter().enumerate().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_enough() {
        let arguments = ["file=/a", "file=b,size=64M,readonly=on,id=x", "file=c"];
        let all = pmems(arguments.iter().map(|argument| argument.parse().unwrap()).collect());
        let pmem = |id: &str, path: &str, size, readonly| PmemSpec {
            id: id.to_owned(),
            path: path.into(),
            size,
            readonly,
        };
        let expected = [
            pmem("pmem0", "/a", None, false),
            pmem("x", "b", Some(64 << 20), true),
            pmem("pmem2", "c", None, false),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn wrong_values_name_their_key() {
        for (argument, said) in [
            ("size=64M", "key \"file\" is missing"),
            ("file=", "must be a path"),
            ("file=a,size=much", "size=much"),
            ("file=a,readonly=yes", "must be on or off"),
            ("file=a,path=b", "unknown key \"path\""),
        ] {
            let error = argument.parse::<PmemArg>().unwrap_err().to_string();
            assert!(error.contains(said), "{argument}: {error}");
        }
    }
}
