//! Unpacking Debian packages.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Why a package was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `dpkg-deb` cannot be run.
    #[error("Cannot run dpkg-deb, which every Debian has; elsewhere install the package dpkg")]
    Run(#[source] io::Error),
    /// `dpkg-deb` refused the package.
    #[error("Cannot unpack {package}: {reason}")]
    Unpack {
        /// The package.
        package: PathBuf,
        /// What `dpkg-deb` said.
        reason: String,
    },
}

/// Unpacks the files of `package` into the directory `into`, which need not exist.
///
/// # Errors
/// [`Error`].
pub fn unpack(package: &Path, into: &Path) -> Result<(), Error> {
    let output = Command::new("dpkg-deb").arg("--extract").arg(package).arg(into).output();
    let Output { status, stderr, .. } = output.map_err(Error::Run)?;
    if status.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&stderr).trim().to_owned();
    Err(Error::Unpack { package: package.into(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_package_is_refused_with_the_reason() {
        let root = tempfile::tempdir().unwrap();
        let package = root.path().join("x.deb");
        std::fs::write(&package, "no package").unwrap();
        let error = unpack(&package, &root.path().join("out")).unwrap_err().to_string();
        assert!(error.contains("x.deb") && error.len() > "Cannot unpack x.deb: ".len(), "{error}");
    }
}
