//! What a machine's process is confined to: which paths it needs once it runs, and which the launcher of its children does.

use std::io;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{MachineError, Own};
use crate::chain::chain;
use crate::forked::launcher::Launcher;
use crate::kept;
use crate::sandbox::paths::{Paths, keep_to};
use crate::sandbox::{self, Confined};
use crate::snapshot;
use crate::spec::{Backing, KvmSpec, MachineSpec, SandboxMode, SerialSpec, Source};

/// What a process that starts reads of its host besides what its machine is made of: how processors and nodes are, and where
/// libraries are.
const READ: [&str; 4] = ["/proc", "/sys/devices/system/node", "/sys/kernel/mm/hugepages", "/etc/ld.so.cache"];

/// The files of the machine's sockets.
fn sockets<'a>(own: &'a Own, spec: &'a MachineSpec) -> Vec<&'a Path> {
    let serial = match &spec.serial {
        SerialSpec::Socket(path) => Some(path),
        SerialSpec::File(_) | SerialSpec::Null | SerialSpec::Stdio => None,
    };
    let vsock = spec.vsock.as_ref().map(|vsock| &vsock.path);
    let all = [spec.api_socket.as_ref(), own.qmp.as_ref(), spec.agent_socket.as_ref(), serial, vsock];
    // A descriptor has no file that would be this process's.
    let has_file = |path: &&Path| !path.as_os_str().as_encoded_bytes().starts_with(b"fd=");
    all.into_iter().flatten().map(PathBuf::as_path).filter(has_file).collect()
}

/// Makes the sandbox of a machine; nobody is in it yet.
///
/// # Errors
/// [`MachineError::Sandbox`].
pub fn prepare(own: &Own, spec: &MachineSpec, source: Option<&Source>) -> Result<(), MachineError> {
    let mut paths = Paths::default();
    let sockets = sockets(own, spec);
    sockets.iter().for_each(|socket| paths.remove(socket));
    let mut snapshots = Vec::new();
    if let Some(Source::Directory(directory)) = source {
        // What later snapshots can be differences to. One that is not to be had is complained of elsewhere.
        let links = snapshot::chain::links(directory).unwrap_or_default();
        snapshots.extend(links.into_iter().map(|link| link.directory));
    }
    snapshots.iter().for_each(|directory| paths.read(directory));
    let sockets = sandbox::directories(sockets);
    let snapshots = snapshots.iter().map(PathBuf::as_path).collect();
    Ok(sandbox::prepare(&own.sandbox, Confined { paths, sockets, snapshots })?)
}

/// The launcher of a machine that can be asked for children.
///
/// # Errors
/// [`MachineError::Launcher`].
pub fn launcher(
    own: &Own,
    source: Option<&Source>,
    spec: &MachineSpec,
) -> Result<Option<Arc<Launcher>>, MachineError> {
    if spec.api_socket.is_none() {
        return Ok(None);
    }
    let inherited: Option<RawFd> = match own.sandbox.kvm {
        KvmSpec::Fd(number) => Some(number),
        KvmSpec::Path(_) => None,
    };
    let is_forked = matches!(source, Some(Source::Parent(_)));
    let confine = || match own.sandbox.mode {
        SandboxMode::On => confine(own, spec, is_forked),
        SandboxMode::Log | SandboxMode::Off => Ok(()),
    };
    let launcher = Launcher::begin(own.handed_down(), inherited, confine);
    Ok(Some(Arc::new(launcher.map_err(MachineError::Launcher)?)))
}

/// Confines the calling process, the launcher, to what machines like this one need to start.
fn confine(own: &Own, spec: &MachineSpec, is_forked: bool) -> Result<(), String> {
    sandbox::give_up_privileges().map_err(|error| chain(&error))?;
    // A fork was started by a launcher that was confined: its own launcher is with it, and the kernel stacks few such rules.
    if is_forked {
        return Ok(());
    }
    let mut paths = Paths::default();
    programs().map_err(|error| error.to_string())?.iter().for_each(|path| paths.execute(path));
    READ.iter().for_each(|path| paths.read(Path::new(path)));
    paths.read(&spec.kernel);
    spec.initramfs.iter().for_each(|path| paths.read(path));
    spec.disks.iter().for_each(|disk| paths.read(&disk.path));
    spec.pmems.iter().for_each(|pmem| paths.read(&pmem.path));
    paths.device(Path::new("/dev/null"));
    if let KvmSpec::Path(path) = &own.sandbox.kvm {
        paths.device(path);
    }
    if let Backing::File(path) = &spec.memory.backing {
        paths.write(path);
    }
    sockets(own, spec).iter().for_each(|socket| paths.sockets(socket));
    own.sandbox.allowed.iter().for_each(|directory| paths.write(directory));
    if own.sandbox.allowed.is_empty() {
        paths.write(Path::new(sandbox::ROOT));
    }
    let rules = paths.rules().map_err(|error| chain(&error))?;
    keep_to(rules).map(drop).map_err(|error| chain(&error))
}

/// This program and its libraries: what is mapped here from files.
fn programs() -> io::Result<Vec<PathBuf>> {
    let maps = kept::text(Path::new(kept::MAPS))?;
    let path = |line: &str| line.find('/').map(|at| PathBuf::from(&line[at..]));
    // By this name it is also found once another has taken its place.
    let mut all = vec![PathBuf::from("/proc/self/exe")];
    all.extend(maps.lines().filter_map(path));
    all.dedup();
    Ok(all)
}
