//! What files a process may still open, make and remove (Landlock; Linux, Documentation/userspace-api/landlock.rst).
//!
//! A rule is about all below a directory, and what is open already is not asked for again. On a host whose kernel has no Landlock
//! nothing is refused, which the log says once; on one with an old Landlock, as much as it knows.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, PathFdError, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

/// What is handled: files, TCP, and sockets without a file. (Later versions have rules about connecting to sockets with one, as a
/// guest's socket device does.)
const HANDLED: ABI = ABI::V6;

/// The host's kernel refuses rules about files.
#[derive(Debug, thiserror::Error)]
pub enum PathsError {
    /// As a whole.
    #[error("rules about files (Landlock): {0}")]
    Rules(#[from] RulesetError),
    /// One of them.
    #[error("rules about files (Landlock): {0}")]
    Path(#[from] PathFdError),
}

/// Rules that are being collected.
#[derive(Debug, Clone, Default)]
pub struct Paths(Vec<(PathBuf, BitFlags<AccessFs>)>);

impl Paths {
    /// Reads `path`, or all below it.
    pub fn read(&mut self, path: &Path) {
        self.add(path, AccessFs::ReadFile | AccessFs::ReadDir);
    }

    /// Executes what is in `path`.
    pub fn execute(&mut self, path: &Path) {
        self.add(path, AccessFs::ReadFile | AccessFs::Execute);
    }

    /// Reads and writes a device.
    pub fn device(&mut self, path: &Path) {
        self.add(path, AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev);
    }

    /// Reads, writes, makes and removes files and directories below `directory`, or writes that file.
    pub fn write(&mut self, directory: &Path) {
        let never = AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev;
        self.add(directory, AccessFs::from_all(HANDLED) & !never);
    }

    /// Removes files from the directory of `file`.
    pub fn remove(&mut self, file: &Path) {
        self.add(parent(file), AccessFs::RemoveFile | AccessFs::ReadDir);
    }

    /// Makes sockets in the directory of `socket`, and removes them.
    pub fn sockets(&mut self, socket: &Path) {
        self.add(parent(socket), AccessFs::RemoveFile | AccessFs::ReadDir | AccessFs::MakeSock);
    }

    fn add(&mut self, path: &Path, access: BitFlags<AccessFs>) {
        // What is no directory has no files in it. Where nothing is, nothing is to be had.
        let access = if path.is_dir() { access } else { access & AccessFs::from_file(HANDLED) };
        if path.exists() {
            self.0.push((path.to_owned(), access));
        }
    }

    /// The rules, for threads to keep to.
    ///
    /// # Errors
    /// [`PathsError`].
    pub fn rules(&self) -> Result<RulesetCreated, PathsError> {
        let mut rules = Ruleset::default()
            .handle_access(AccessFs::from_all(HANDLED))?
            .handle_access(AccessNet::from_all(HANDLED))?
            .scope(Scope::AbstractUnixSocket)?
            .create()?;
        for (path, access) in &self.0 {
            rules = rules.add_rule(PathBeneath::new(PathFd::new(path)?, *access))?;
        }
        Ok(rules)
    }
}

/// The calling thread keeps to these rules, and whatever it starts; returns whether the host's kernel sees to that.
///
/// # Errors
/// [`PathsError`].
pub fn keep_to(rules: RulesetCreated) -> Result<bool, PathsError> {
    Ok(rules.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
}

/// The directory that `file` is in.
pub fn parent(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
