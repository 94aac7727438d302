//! `--serial stdio|null|file=PATH|socket=PATH`

use std::str::FromStr;

use crate::spec::SerialSpec;

/// The value of `--serial`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialArg(pub SerialSpec);

/// The value is none of those that are valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be stdio, null, file=PATH or socket=PATH")]
pub struct BadSerial;

impl FromStr for SerialArg {
    type Err = BadSerial;

    fn from_str(text: &str) -> Result<Self, BadSerial> {
        let spec = match text.split_once('=') {
            None if text == "stdio" => SerialSpec::Stdio,
            None if text == "null" => SerialSpec::Null,
            Some(("file", path)) if !path.is_empty() => SerialSpec::File(path.into()),
            Some(("socket", path)) if !path.is_empty() => SerialSpec::Socket(path.into()),
            _ => return Err(BadSerial),
        };
        Ok(Self(spec))
    }
}
