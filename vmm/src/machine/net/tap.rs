//! TAP devices of the host's (Linux, Documentation/networking/tuntap.rst, include/uapi/linux/if_tun.h).
#![expect(unsafe_code, reason = "ioctls")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use dimmer_devices::virtio::net::HEADER;

use crate::inherited;

const TUNSETIFF: libc::Ioctl = 0x4004_54ca;
const TUNGETIFF: libc::Ioctl = 0x8004_54d2;
const TUNSETOFFLOAD: libc::Ioctl = 0x4004_54d0;
const TUNSETVNETHDRSZ: libc::Ioctl = 0x4004_54d8;

/// Frames of Ethernet, without another header than virtio's.
const FLAGS: libc::c_int = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
/// The guest takes frames whose checksums are not made (`TUN_F_CSUM`).
const CHECKSUMS: libc::c_ulong = 1;

/// Opens the device `name`, and makes it where there is none.
pub(super) fn open(name: &str) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    let mut request = request();
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(FLAGS).expect("flags fit");
    // SAFETY: the request is a whole `ifreq`, which the kernel reads and writes.
    check(unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, &raw mut request) })?;
    set_up(&file)?;
    Ok(file)
}

/// The device that this process was started with as descriptor `number`.
pub(super) fn inherited(number: i32) -> io::Result<File> {
    let file = File::from(inherited::take(number, check_tap)?);
    rustix::fs::fcntl_setfl(&file, rustix::fs::fcntl_getfl(&file)? | rustix::fs::OFlags::NONBLOCK)?;
    set_up(&file)?;
    Ok(file)
}

fn check_tap(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let mut request = request();
    // SAFETY: the request is a whole `ifreq`, which the kernel writes; a descriptor of something else is refused.
    check(unsafe { libc::ioctl(descriptor.as_raw_fd(), TUNGETIFF, &raw mut request) })
        .map_err(|_| io::Error::other("is no TAP device"))?;
    // SAFETY: TUNGETIFF gives flags.
    let flags = libc::c_int::from(unsafe { request.ifr_ifru.ifru_flags });
    if flags & FLAGS != FLAGS {
        return Err(io::Error::other("must be a TAP device with IFF_NO_PI and IFF_VNET_HDR"));
    }
    Ok(())
}

fn set_up(file: &File) -> io::Result<()> {
    let length = libc::c_int::try_from(HEADER).expect("a small number");
    // SAFETY: the kernel reads an int.
    check(unsafe { libc::ioctl(file.as_raw_fd(), TUNSETVNETHDRSZ, &raw const length) })?;
    // SAFETY: the argument is a number.
    check(unsafe { libc::ioctl(file.as_raw_fd(), TUNSETOFFLOAD, CHECKSUMS) })
}

fn request() -> libc::ifreq {
    // SAFETY: an `ifreq` of zeroes is one without a name.
    unsafe { std::mem::zeroed() }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::os::fd::IntoRawFd;

    use super::*;

    #[test]
    fn what_is_no_tap_device_is_refused_and_stays_open() {
        let file = tempfile::tempfile().unwrap();
        // One that would survive exec(2), as those do that a process was started with.
        let number = rustix::io::dup(&file).unwrap().into_raw_fd();
        assert_eq!(inherited(number).unwrap_err().to_string(), "is no TAP device");
        // SAFETY: it asks for flags of a number.
        assert!(unsafe { libc::fcntl(number, libc::F_GETFD) } >= 0);
    }
}
