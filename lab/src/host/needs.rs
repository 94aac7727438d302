//! Programs of other packages that something needs. As root they are installed, after saying so; else the message says
//! how.

use std::env;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program and the Debian package that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Name of the program.
    pub program: &'static str,
    /// Name of the package.
    pub package: &'static str,
    /// What it is needed for.
    pub purpose: &'static str,
}

/// The tests of ACPI tables: disassembler and interpreter.
pub const ACPICA: [Need; 2] = [
    Need { program: "iasl", package: "acpica-tools", purpose: "tests of ACPI tables" },
    Need { program: "acpiexec", package: "acpica-tools", purpose: "tests of AML methods" },
];

/// Calls of the host that are made to fail.
pub const STRACE: Need = Need { program: "strace", package: "strace", purpose: "tests of a failing host" };

/// Why a program is not there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is missing, and we may not install it.
    #[error("{} is missing, which {} needs; install it with: {}", .0.program, .0.purpose, command(&[*.0], false))]
    Missing(Need),
    /// It could not be installed.
    #[error("Cannot install {}: {reason}; try: {}", need.package, command(&[*need], true))]
    Install {
        /// What was to be installed.
        need: Need,
        /// Why it was not.
        reason: String,
    },
    /// apt could not be run.
    #[error("Cannot run apt-get to install {}", need.package)]
    Apt {
        /// What was to be installed.
        need: Need,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

/// Makes sure that the program is there.
///
/// # Errors
/// [`Error`].
pub fn ensure(need: Need) -> Result<(), Error> {
    if find(need.program).is_some() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Error::Missing(need));
    }
    crate::output::complain(format_args!(
        "dimmer-lab: Installing {}, which {} needs",
        need.package, need.purpose
    ));
    let install = || apt(need, &["install", "--yes", "--no-install-recommends", need.package]);
    // Where apt has no package lists yet, the first attempt fails.
    if !install()? {
        apt(need, &["update"])?;
        if !install()? {
            return Err(Error::Install { need, reason: "apt-get failed, as shown above".into() });
        }
    }
    find(need.program).map(drop).ok_or_else(|| Error::Install {
        need,
        reason: format!("the package is installed, but {} is not in PATH", need.program),
    })
}

/// Runs apt-get, all its output on our standard error; gives whether it succeeded.
fn apt(need: Need, arguments: &[&str]) -> Result<bool, Error> {
    let mut apt = Command::new("apt-get");
    apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    if let Ok(stderr) = io::stderr().as_fd().try_clone_to_owned() {
        apt.stdout(stderr);
    }
    Ok(apt.status().map_err(|cause| Error::Apt { need, cause })?.success())
}

/// The one line that installs all of `needs`.
#[must_use]
pub fn command(needs: &[Need], root: bool) -> String {
    let mut packages: Vec<&str> = needs.iter().map(|need| need.package).collect();
    packages.dedup();
    let packages = packages.join(" ");
    match root {
        true => format!("apt-get update && apt-get install --yes --no-install-recommends {packages}"),
        false => {
            format!("sudo sh -c 'apt-get update && apt-get install --yes --no-install-recommends {packages}'")
        }
    }
}

/// Where the program is in `PATH`.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut candidates = env::split_paths(&path).map(|directory| directory.join(program));
    candidates.find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_path_and_files_are_not() {
        assert!(find("sh").is_some_and(|path| path.ends_with("sh")));
        assert_eq!(find("no-such-program"), None);
        assert!(!is_program(Path::new("/etc/passwd")));
        assert!(!is_program(Path::new("/etc")));
    }

    #[test]
    fn one_line_installs_each_package_once() {
        let text = "apt-get update && apt-get install --yes --no-install-recommends acpica-tools";
        assert_eq!(command(&ACPICA, true), text);
        assert_eq!(command(&ACPICA, false), format!("sudo sh -c '{text}'"));
        let missing = Error::Missing(ACPICA[0]).to_string();
        assert!(missing.contains("iasl is missing") && missing.contains("sudo"), "{missing}");
    }
}
