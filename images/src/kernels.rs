//! The kernels that have a name: one row each, all there is to know to fetch it.
//!
//! Debian's metapackages give the current version. The cloud flavour is what a guest boots unless said otherwise: it is
//! smaller and starts faster. The emulated host needs the general one, since only that has KVM.

use std::fmt;

/// One kernel that Debian has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Name, as in the cache.
    pub name: &'static str,
    /// Shorter name for the same.
    pub alias: Option<&'static str>,
    /// Debian release (its code name) that has it.
    pub release: &'static str,
    /// Metapackage that depends on the current version.
    pub metapackage: &'static str,
}

/// Every kernel that has a name.
pub const SOURCES: [Source; 4] = [
    Source {
        name: "6.1-cloud",
        alias: Some("6.1"),
        release: "bookworm",
        metapackage: "linux-image-cloud-amd64",
    },
    Source { name: "6.1-amd64", alias: None, release: "bookworm", metapackage: "linux-image-amd64" },
    Source {
        name: "6.12-cloud",
        alias: Some("6.12"),
        release: "bookworm",
        metapackage: "linux-image-6.12-cloud-amd64",
    },
    Source { name: "6.12-amd64", alias: None, release: "bookworm", metapackage: "linux-image-6.12-amd64" },
];

/// Name of the kernel that the emulated host runs.
pub const HOST: &str = "6.12-amd64";

/// The kernel called `name`, or nothing when that is not a name in the table.
#[must_use]
pub fn find(name: &str) -> Option<&'static Source> {
    SOURCES.iter().find(|source| source.name == name || source.alias == Some(name))
}

/// All names, for messages: `6.1 (6.1-cloud), 6.1-amd64, …`.
#[derive(Clone, Copy, Debug)]
pub struct Names;

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, source) in SOURCES.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            match source.alias {
                Some(alias) => write!(f, "{comma}{alias} ({})", source.name)?,
                None => write!(f, "{comma}{}", source.name)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_means_the_cloud_flavour() {
        assert_eq!(find("6.1"), find("6.1-cloud"));
        assert_eq!(find("6.12").unwrap().metapackage, "linux-image-6.12-cloud-amd64");
        assert!(find(HOST).is_some());
        assert_eq!(find("6.2"), None);
    }

    #[test]
    fn every_name_is_unique_and_printed() {
        let printed = Names.to_string();
        let names = SOURCES.iter().flat_map(|source| [Some(source.name), source.alias]).flatten();
        let names: Vec<_> = names.collect();
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{name}");
            assert!(printed.contains(name), "{printed}");
        }
    }
}
