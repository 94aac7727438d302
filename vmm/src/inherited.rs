//! Descriptors that this process was started with, named by their numbers.
#![expect(unsafe_code, reason = "takes descriptors by their numbers")]

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::{FdFlags, fcntl_setfd};

/// Takes descriptor `number`, if this process was started with it and it is one that `check` is content with.
///
/// # Errors
/// What `check` says, or that it is none.
pub fn take(number: i32, check: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>) -> io::Result<OwnedFd> {
    let none = || io::Error::other("is no descriptor that this process was started with");
    // What was opened here is closed by exec(2), and so is what was taken here before: only what is not has survived one.
    // SAFETY: it asks for flags of a number, which need be no descriptor.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags < 0 || flags & libc::FD_CLOEXEC != 0 {
        return Err(none());
    }
    // SAFETY: it is open, and nobody here has it who could close it meanwhile.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    check(descriptor)?;
    fcntl_setfd(descriptor, FdFlags::CLOEXEC)?;
    // SAFETY: it is open, and whoever started this process gave it away; nobody here has it, or exec(2) would have closed it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, IntoRawFd};

    use super::*;

    #[test]
    fn only_what_would_survive_exec_is_taken_and_only_once() {
        let file = tempfile::tempfile().unwrap();
        let none = "is no descriptor that this process was started with";
        for number in [-1, 1 << 20, file.as_raw_fd()] {
            assert_eq!(take(number, |_| Ok(())).unwrap_err().to_string(), none);
        }
        // One that would survive exec(2), as those do that a process was started with.
        let number = rustix::io::dup(&file).unwrap().into_raw_fd();
        let wrong = take(number, |_| Err(io::Error::other("is no socket"))).unwrap_err();
        assert_eq!(wrong.to_string(), "is no socket");
        let taken = take(number, |_| Ok(())).unwrap();
        assert_eq!(taken.as_raw_fd(), number);
        assert_eq!(take(number, |_| Ok(())).unwrap_err().to_string(), none);
    }
}
