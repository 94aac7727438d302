//! Whose a process's sockets are, and who may come to them.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{AtFlags, CWD, Gid, Mode, Uid, chmodat, chownat};
use rustix::net::sockopt::socket_peercred;

use crate::spec::SocketSpec;

/// What was asked for, if it was.
static SOCKETS: OnceLock<SocketSpec> = OnceLock::new();

/// All sockets of this process are like this from now on; a second call changes nothing.
pub fn configure(spec: SocketSpec) {
    let _ = SOCKETS.set(spec);
}

/// Gives the file of a socket, at which nobody listens yet, its owner, its group and its permissions, in this order: nobody gets
/// through meanwhile who is not to.
pub(super) fn permit(path: &Path) -> rustix::io::Result<()> {
    SOCKETS.get().map_or(Ok(()), |spec| give(spec, path))
}

fn give(spec: &SocketSpec, path: &Path) -> rustix::io::Result<()> {
    let (owner, group) = (spec.owner.map(Uid::from_raw), spec.group.map(Gid::from_raw));
    if owner.is_some() || group.is_some() {
        chownat(CWD, path, owner, group, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    chmodat(CWD, path, Mode::from_bits_truncate(spec.mode), AtFlags::empty())
}

/// Whether the process at the other end of a connection may be there (`SO_PEERCRED`, unix(7)).
pub fn admits(connection: &impl AsFd) -> bool {
    SOCKETS.get().is_none_or(|spec| is_one_of(spec, connection))
}

fn is_one_of(spec: &SocketSpec, connection: &impl AsFd) -> bool {
    if spec.users.is_empty() && spec.groups.is_empty() {
        return true;
    }
    let Ok(peer) = socket_peercred(connection) else { return false };
    spec.users.contains(&peer.uid.as_raw()) || spec.groups.contains(&peer.gid.as_raw())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::{UnixListener, UnixStream};

    use rustix::process::{getegid, geteuid};

    use super::*;

    #[test]
    fn a_file_gets_what_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let _listener = UnixListener::bind(&path).unwrap();
        let (owner, group) = (Some(geteuid().as_raw()), Some(getegid().as_raw()));
        give(&SocketSpec { mode: 0o620, owner, group, ..SocketSpec::default() }, &path).unwrap();
        let file = std::fs::metadata(&path).unwrap();
        assert_eq!((file.mode() & 0o777, Some(file.uid()), Some(file.gid())), (0o620, owner, group));
    }

    #[test]
    fn who_is_on_neither_list_may_not_come() {
        let (here, _there) = UnixStream::pair().unwrap();
        let (me, mine) = (geteuid().as_raw(), getegid().as_raw());
        let lists = |users: &[u32], groups: &[u32]| {
            let spec = SocketSpec { users: users.to_vec(), groups: groups.to_vec(), ..SocketSpec::default() };
            is_one_of(&spec, &here)
        };
        assert!(
            lists(&[], &[]) && lists(&[me], &[]) && lists(&[me + 1, me], &[]) && lists(&[me + 1], &[mine])
        );
        assert!(!lists(&[me + 1], &[]) && !lists(&[me + 1], &[mine + 1]) && !lists(&[], &[mine + 1]));
    }
}
