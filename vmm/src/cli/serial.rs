//! `--serial stdio|null|file=PATH|socket=PATH`

use std::ffi::OsString;
use std::io;
use std::path::{Path, absolute};
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

impl SerialArg {
    /// It as it is typed.
    pub fn words(&self) -> OsString {
        let with = |key: &str, path: &Path| {
            let mut words = OsString::from(key);
            words.push(path);
            words
        };
        match &self.0 {
            SerialSpec::Stdio => "stdio".into(),
            SerialSpec::Null => "null".into(),
            SerialSpec::File(path) => with("file=", path),
            SerialSpec::Socket(path) => with("socket=", path),
        }
    }

    /// The same with a path from the root on.
    ///
    /// # Errors
    /// When this process's directory cannot be had.
    pub fn absolute(&self) -> io::Result<Self> {
        Ok(Self(match &self.0 {
            SerialSpec::File(path) => SerialSpec::File(absolute(path)?),
            SerialSpec::Socket(path) => SerialSpec::Socket(absolute(path)?),
            other => other.clone(),
        }))
    }
}
