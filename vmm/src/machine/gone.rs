//! What happens when the host has nothing behind memory that this process touches (SIGBUS): a file that guest memory is mapped
//! from was cut short, the storage of one with holes is full, or memory itself has failed. There is no going on from there, and
//! the machine ends with words. A vCPU that touches such memory ends it as well where KVM gives an error for it; where KVM faults
//! asynchronously it tries again for ever, and the vCPU stands still.
#![expect(unsafe_code, reason = "a signal handler")]

use std::ffi::{c_int, c_void};
use std::io;

use vmm_sys_util::signal::register_signal_handler;

/// Exit status where the host fails a machine.
const STATUS: c_int = 3;
/// What is said then, and by whom.
const WORDS: &[u8] =
    b"dimmer: the host failed: it has nothing behind memory that a device of the guest uses (was a file cut \
    short, or is its storage full?)\n";

/// From now on SIGBUS ends the process so.
///
/// # Errors
/// What the host says.
pub fn watch() -> io::Result<()> {
    register_signal_handler(libc::SIGBUS, on_nothing)
        .map_err(|error| io::Error::from_raw_os_error(error.errno()))
}

/// Allocates nothing, takes no lock, and makes no call but those that every thread may make.
extern "C" fn on_nothing(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the words are whole, and their length their own.
    unsafe { libc::write(libc::STDERR_FILENO, WORDS.as_ptr().cast(), WORDS.len()) };
    // SAFETY: it has no precondition. Other threads are in the middle of something, and destructors are not to run.
    unsafe { libc::_exit(STATUS) }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::mm::{MapFlags, ProtFlags, mmap};

    use super::*;

    /// Says that this process is to touch what is not there.
    const CHILD: &str = "DIMMER_GONE_CHILD";

    /// The process that touches it: no test, unless it is one's child.
    #[test]
    fn child() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        watch().unwrap();
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        // SAFETY: a new mapping, placed by the kernel.
        let memory = unsafe { mmap(std::ptr::null_mut(), 4096, ProtFlags::READ, MapFlags::SHARED, &file, 0) };
        let memory = memory.unwrap().cast::<u8>();
        file.set_len(0).unwrap();
        // SAFETY: it is mapped, and the signal comes that the mapping gives behind the end of its file.
        let byte = unsafe { memory.read_volatile() };
        panic!("there is {byte}");
    }

    #[test]
    fn a_file_that_was_cut_short_ends_the_process_with_words() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "machine::gone::tests::child", "--nocapture"]).env(CHILD, "1");
        let output = child.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(STATUS), "{said}");
        assert!(said.contains("it has nothing behind memory that a device of the guest uses"), "{said}");
    }
}
