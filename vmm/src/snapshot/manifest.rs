//! What a snapshot says of itself.

use serde::{Deserialize, Serialize};
use twox_hash::XxHash64;

use super::chain::Base;

/// What the manifest of every snapshot begins with.
const FORMAT: &str = "dimmer-snapshot";
/// The version that is written, and the only one that is read.
const VERSION: u32 = 3;

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `dimmer-snapshot`.
    pub format: String,
    /// Version of the format.
    pub version: u32,
    /// Version of the Dimmer that wrote it.
    pub dimmer: String,
    /// 128 random bits in hexadecimal digits: of this moment of this machine, in however many files it is.
    pub id: String,
    /// The snapshot that the memory is a difference to, if it is one.
    pub base: Option<Base>,
    /// `state.json`.
    pub state: Contents,
    /// `memory`.
    pub memory: Contents,
}

/// What is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// Its length.
    pub bytes: u64,
    /// XXH64 of it; of `memory`, see [`PageSum`](super::memory::PageSum).
    pub xxh64: u64,
}

/// The part of a manifest that all versions have.
#[derive(Debug, Deserialize)]
struct Head {
    format: String,
    version: u32,
    dimmer: String,
}

impl Manifest {
    /// The manifest of a whole snapshot with these files, written now.
    pub fn new(id: String, state: Contents, memory: Contents) -> Self {
        let dimmer = env!("CARGO_PKG_VERSION").to_owned();
        Self { format: FORMAT.to_owned(), version: VERSION, dimmer, id, base: None, state, memory }
    }

    /// Reads a manifest of this version, written by this Dimmer: what devices keep of themselves can mean something else in
    /// another one.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let head: Head = serde_json::from_slice(bytes).map_err(|error| no_manifest(&error))?;
        let here = env!("CARGO_PKG_VERSION");
        if head.format != FORMAT {
            return Err(format!("its format is {:?}, and not {FORMAT:?}", head.format));
        }
        if (head.version, head.dimmer.as_str()) != (VERSION, here) {
            return Err(format!(
                "was written by Dimmer {:?} in version {} of the format; this is Dimmer {here}, which reads version \
                 {VERSION} of its own",
                head.dimmer, head.version
            ));
        }
        serde_json::from_slice(bytes).map_err(|error| no_manifest(&error))
    }
}

fn no_manifest(error: &serde_json::Error) -> String {
    format!("is no manifest of a snapshot: {error}")
}

/// Length and checksum of a file with these bytes.
pub fn sum_of(bytes: &[u8]) -> Contents {
    Contents { bytes: bytes.len() as u64, xxh64: XxHash64::oneshot(0, bytes) }
}

impl Contents {
    /// Complains unless a file has the length that it is to have.
    ///
    /// # Errors
    /// Both, in words.
    pub fn check_length(&self, bytes: u64) -> Result<(), String> {
        if bytes == self.bytes {
            return Ok(());
        }
        Err(format!("has {bytes} bytes, and the manifest says {}: the snapshot is not whole", self.bytes))
    }

    /// Complains unless a file is what it is to be.
    ///
    /// # Errors
    /// In what it differs.
    pub fn check(&self, seen: Self) -> Result<(), String> {
        self.check_length(seen.bytes)?;
        if seen.xxh64 == self.xxh64 {
            return Ok(());
        }
        Err(changed(self.xxh64, seen.xxh64))
    }
}

/// That a file has another checksum than it is to have.
pub(super) fn changed(wanted: u64, seen: u64) -> String {
    format!("was changed: its checksum is {seen:#x}, and the manifest says {wanted:#x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest::new("5".to_owned(), sum_of(b"state"), Contents { bytes: 8192, xxh64: 7 })
    }

    #[test]
    fn what_is_written_is_read_again() {
        let bytes = serde_json::to_vec(&manifest()).unwrap();
        assert_eq!(Manifest::parse(&bytes).unwrap(), manifest());
        let base = Base { path: "../a".to_owned(), id: "4".to_owned(), written: sum_of(b"[]") };
        let difference = Manifest { base: Some(base), ..manifest() };
        let bytes = serde_json::to_vec(&difference).unwrap();
        assert_eq!(Manifest::parse(&bytes).unwrap(), difference);
    }

    #[test]
    fn other_formats_versions_and_writers_are_named() {
        let with = |change: fn(&mut Manifest)| {
            let mut manifest = manifest();
            change(&mut manifest);
            Manifest::parse(&serde_json::to_vec(&manifest).unwrap()).unwrap_err()
        };
        assert_eq!(with(|m| m.format = "x".into()), "its format is \"x\", and not \"dimmer-snapshot\"");
        assert!(with(|m| m.version = 1).contains("in version 1 of the format"));
        assert!(with(|m| m.dimmer = "9.9".into()).starts_with("was written by Dimmer \"9.9\""));
        assert!(Manifest::parse(b"{}").unwrap_err().starts_with("is no manifest of a snapshot"));
        // A version to come may have other fields, and is refused for being another version.
        let later = br#"{"format":"dimmer-snapshot","version":9,"dimmer":"9.9","parent":"x"}"#;
        assert!(Manifest::parse(later).unwrap_err().contains("in version 9"));
    }

    #[test]
    fn a_file_that_was_cut_or_changed_is_found_out() {
        let contents = sum_of(b"state");
        assert_eq!(contents.check(sum_of(b"state")), Ok(()));
        assert!(contents.check(sum_of(b"stat")).unwrap_err().contains("not whole"));
        assert!(contents.check(sum_of(b"State")).unwrap_err().starts_with("was changed"));
    }
}
