//! What a machine's process may do on the host: its own affair, and in no snapshot.

use std::path::PathBuf;

use serde::Deserialize;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SandboxSpec {
    /// How it is kept to that.
    pub mode: SandboxMode,
    /// Directories below which clients may have snapshots, and sockets and consoles of forks.
    pub allowed: Vec<PathBuf>,
    /// The thread that tries whether the sandbox holds, and ends the machine by that.
    pub tried: Option<String>,
    /// Limits of the process's own (setrlimit(2)).
    pub limits: Vec<(Limit, u64)>,
    /// The control group that the process joins.
    pub cgroup: Option<PathBuf>,
    /// Whose the sockets are.
    pub sockets: SocketSpec,
    /// Where KVM is.
    pub kvm: KvmSpec,
}

/// Whether the process is in a sandbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SandboxMode {
    /// It is.
    #[default]
    On,
    /// It is not; the host's log says which calls would have ended it.
    Log,
    /// It is not.
    Off,
}

/// What setrlimit(2) limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Open descriptors.
    Nofile,
    /// Bytes of a file that is written.
    Fsize,
    /// Bytes of address space.
    As,
    /// Bytes of a core dump.
    Core,
    /// Bytes of locked memory.
    Memlock,
}

impl Limit {
    /// Its key on the command line.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Nofile => "nofile",
            Self::Fsize => "fsize",
            Self::As => "as",
            Self::Core => "core",
            Self::Memlock => "memlock",
        }
    }
}

/// Whose the machine's sockets are, and who may come to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketSpec {
    /// The files' permissions.
    pub mode: u32,
    /// The files' owner; who made them without.
    pub owner: Option<u32>,
    /// The files' group; that of who made them without.
    pub group: Option<u32>,
    /// The users that may come; with neither these nor groups, who gets through.
    pub users: Vec<u32>,
    /// The groups whose members may come.
    pub groups: Vec<u32>,
}

impl Default for SocketSpec {
    fn default() -> Self {
        Self { mode: 0o600, owner: None, group: None, users: Vec::new(), groups: Vec::new() }
    }
}

/// Where KVM is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvmSpec {
    /// A device.
    Path(PathBuf),
    /// The device as a descriptor that this process was started with.
    Fd(i32),
}

impl Default for KvmSpec {
    fn default() -> Self {
        Self::Path("/dev/kvm".into())
    }
}
