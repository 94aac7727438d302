//! Starts the other processors once the kernel has stopped changing its own code.
//!
//! While it starts and loads modules, Linux switches rare branches by patching instructions, with a breakpoint in their
//! place meanwhile. QEMU without acceleration runs each processor in a thread of its own, and there such a thread can
//! translate the breakpoint just as another one overwrites it, and keep the stale translation: later the kernel dies of a
//! breakpoint that nobody set (seen in one start of twenty to thirty). So the machine starts with one processor
//! (`maxcpus=1`), and the others join here.

use std::fs;
use std::io;
use std::path::Path;

/// Starts the processors that have not been started yet.
///
/// # Errors
/// What the kernel says of the first that does not start.
pub fn start_others() -> io::Result<()> {
    for entry in fs::read_dir(Path::new("/sys/devices/system/cpu"))? {
        // The first processor has no such file, and what is no processor has none either.
        let switch = entry?.path().join("online");
        if fs::read(&switch).is_ok_and(|state| state.starts_with(b"0")) {
            fs::write(&switch, "1")?;
        }
    }
    Ok(())
}
