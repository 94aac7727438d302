//! The devices with files of the host's behind them, and those on its network.

use super::{Parts, Transports, WiringError};
use crate::machine::disk::Disk;
use crate::machine::net::Net;
use crate::machine::pmem::Pmem;

/// The disks.
pub(super) fn disks(parts: &Parts<'_>, transports: &mut Transports<'_>) -> Result<Vec<Disk>, WiringError> {
    let wanted = &parts.spec.disks;
    check_room("--disk", wanted.len(), transports)?;
    wanted.iter().map(|disk| Ok(Disk::new(disk, parts.waker.clone(), transports)?)).collect()
}

/// The network devices.
pub(super) fn nets(parts: &Parts<'_>, transports: &mut Transports<'_>) -> Result<Vec<Net>, WiringError> {
    let wanted = &parts.spec.nets;
    check_room("--net", wanted.len(), transports)?;
    wanted.iter().map(|net| Ok(Net::new(net, parts.waker.clone(), transports)?)).collect()
}

/// Persistent memory.
pub(super) fn pmems(parts: &Parts<'_>, transports: &mut Transports<'_>) -> Result<Vec<Pmem>, WiringError> {
    let wanted = &parts.spec.pmems;
    check_room("--pmem", wanted.len(), transports)?;
    let places = parts.layout.pmems.iter().zip(parts.files);
    let all = wanted.iter().zip(places).map(|(pmem, (range, file))| {
        Ok(Pmem::new(pmem, *range, file, parts.ram, parts.waker.clone(), transports)?)
    });
    all.collect()
}

fn check_room(flag: &'static str, asked: usize, transports: &Transports<'_>) -> Result<(), WiringError> {
    let most = transports.left();
    if asked > most { Err(WiringError::TooMany { flag, asked, most }) } else { Ok(()) }
}
