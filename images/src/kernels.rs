//! The kernels that have a name: one row each, all there is to know to fetch it.
//!
//! Nothing is pinned, since old versions vanish from the archive: a metapackage gives the current version, and of a series
//! that no metapackage names the newest version is taken. The cloud flavour is what a guest boots unless said otherwise:
//! it is smaller and starts faster. The emulated host needs the general one, since only that has KVM.

use std::fmt;

/// One kernel that Debian has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Name, as in the cache.
    pub name: &'static str,
    /// Shorter name for the same.
    pub alias: Option<&'static str>,
    /// Debian suite that has it: a release's code name, or one with its backports.
    pub suite: &'static str,
    /// Which of the suite's packages it is.
    pub package: Wanted,
}

/// How a kernel's package is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The one that this metapackage depends on.
    Metapackage(&'static str),
    /// The newest `linux-image-SERIES.…-FLAVOUR`.
    Newest {
        /// Such as `6.18`, or `7` for any 7.x.
        series: &'static str,
        /// Such as `cloud-amd64`.
        flavour: &'static str,
    },
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metapackage(name) => f.write_str(name),
            Self::Newest { series, flavour } => write!(f, "linux-image-{series}.*-{flavour}"),
        }
    }
}

const fn row(
    name: &'static str,
    alias: Option<&'static str>,
    suite: &'static str,
    package: Wanted,
) -> Source {
    Source { name, alias, suite, package }
}

/// The newest cloud kernel of a series.
const fn newest(series: &'static str) -> Wanted {
    Wanted::Newest { series, flavour: "cloud-amd64" }
}

/// Every kernel that has a name.
pub const SOURCES: [Source; 8] = [
    row("5.10-cloud", Some("5.10"), "bullseye", Wanted::Metapackage("linux-image-cloud-amd64")),
    row("5.10-amd64", None, "bullseye", Wanted::Metapackage("linux-image-amd64")),
    row("6.1-cloud", Some("6.1"), "bookworm", Wanted::Metapackage("linux-image-cloud-amd64")),
    row("6.1-amd64", None, "bookworm", Wanted::Metapackage("linux-image-amd64")),
    row("6.12-cloud", Some("6.12"), "bookworm", Wanted::Metapackage("linux-image-6.12-cloud-amd64")),
    row("6.12-amd64", None, "bookworm", Wanted::Metapackage("linux-image-6.12-amd64")),
    row("6.18-cloud", Some("6.18"), "trixie-backports", newest("6.18")),
    row("7-cloud", Some("7"), "trixie-backports", newest("7")),
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
        assert_eq!(find("6.12").unwrap().package.to_string(), "linux-image-6.12-cloud-amd64");
        assert_eq!(find("7").unwrap().package.to_string(), "linux-image-7.*-cloud-amd64");
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
