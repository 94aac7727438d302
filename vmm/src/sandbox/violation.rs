//! What happens when a thread makes a call that is not on its list: the machine ends, and says which thread and which call that
//! was. Something has gone wrong that nobody thought of; there is no going on from there.
#![expect(unsafe_code, reason = "a signal handler")]

use std::ffi::{c_int, c_void};
use std::fmt::{self, Write};
use std::io;

use syscalls::Sysno;
use vmm_sys_util::signal::register_signal_handler;

/// Exit status of a defect of Dimmer.
const STATUS: c_int = 4;
/// Bytes of a thread's name with its NUL (prctl(2), `PR_GET_NAME`).
const NAME: usize = 16;
/// What the first thread is called here, as with all threads of the standard library's.
const MAIN: &[u8; NAME] = b"main\0\0\0\0\0\0\0\0\0\0\0\0";
/// Where the number of the call is in a `siginfo_t` of SIGSYS, in words of 32 bits (include/uapi/asm-generic/siginfo.h,
/// `_sigsys`): behind three words and their padding, and an address.
const CALL: usize = 6;

/// From now on SIGSYS, which such a call brings, ends the process.
///
/// # Errors
/// What the host says.
pub fn watch() -> io::Result<()> {
    register_signal_handler(libc::SIGSYS, on_violation)
        .map_err(|error| io::Error::from_raw_os_error(error.errno()))
}

/// Allocates nothing, takes no lock, and makes no call but those that every thread may make.
extern "C" fn on_violation(_: c_int, information: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel passes a whole `siginfo_t` to a handler that was registered with SA_SIGINFO, and plain numbers are in it.
    let number = unsafe { *information.cast::<c_int>().add(CALL) };
    let mut name = [0_u8; NAME];
    // SAFETY: the kernel writes 16 bytes, which is what there is.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    // SAFETY: neither has a precondition.
    if unsafe { libc::gettid() == libc::getpid() } {
        // It is called what the program is called.
        name = *MAIN;
    }
    let mut line = Line::default();
    // What does not fit is cut off.
    let _ = tell(&mut line, &name, number);
    // SAFETY: the buffer is whole, and its length its own.
    unsafe { libc::write(libc::STDERR_FILENO, line.bytes.as_ptr().cast(), line.length) };
    // SAFETY: it has no precondition. Other threads are in the middle of something, and destructors are not to run.
    unsafe { libc::_exit(STATUS) }
}

fn tell(line: &mut Line, name: &[u8; NAME], number: c_int) -> fmt::Result {
    line.write_str("dimmer: thread ")?;
    for byte in name.iter().take_while(|byte| **byte != 0) {
        line.write_char(if byte.is_ascii_graphic() { char::from(*byte) } else { '?' })?;
    }
    let call = usize::try_from(number).ok().and_then(Sysno::new).map_or("an unknown one", |call| call.name());
    writeln!(line, " made a call that its sandbox does not allow: {call} ({number})")
}

/// A line of text in a place of its own.
struct Line {
    bytes: [u8; 160],
    length: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self { bytes: [0; 160], length: 0 }
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.length..self.length + text.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &[u8; NAME], number: c_int) -> String {
        let mut line = Line::default();
        tell(&mut line, name, number).unwrap();
        String::from_utf8(line.bytes[..line.length].to_vec()).unwrap()
    }

    #[test]
    fn thread_and_call_are_named_whatever_they_are() {
        let allow = "made a call that its sandbox does not allow";
        assert_eq!(
            told(b"vcpu0\0\0\0\0\0\0\0\0\0\0\0", 59),
            format!("dimmer: thread vcpu0 {allow}: execve (59)\n")
        );
        assert_eq!(
            told(b"a\x1b[2Jaaaaaaaaaaa", -1),
            format!("dimmer: thread a?[2Jaaaaaaaaaaa {allow}: an unknown one (-1)\n")
        );
    }
}
