//! A program that holds memory which it has locked (mlock(2)): the kernel never gives it up, but may move it.

use std::convert::Infallible;
use std::io;

use crate::mapping::Mapping;

/// Argument that makes this program one, in front of a number of bytes.
pub const LOCK: &str = "lock";

/// Locks `bytes` of memory, says so with an empty line, and holds it until it is killed.
///
/// # Errors
/// When `bytes` is no number, or there is not that much memory.
pub fn hold(bytes: &str) -> io::Result<Infallible> {
    let bytes = bytes.parse().map_err(|_| io::Error::other(format!("{bytes:?} is no number of bytes")))?;
    let memory = Mapping::anonymous(bytes)?;
    memory.lock()?;
    memory.held()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_locked_is_refused() {
        assert_eq!(hold("many").unwrap_err().to_string(), "\"many\" is no number of bytes");
        assert!(hold("0").is_err(), "no mapping is empty");
    }
}
