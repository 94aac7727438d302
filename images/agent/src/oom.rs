//! Keeping the agent alive when a test uses up the guest's memory: the kernel kills others first
//! (`oom_score_adj`, Documentation/filesystems/proc.rst). For a guest without others, whose kernel would panic, there is a
//! reserve: a process that holds some memory, which the kernel gets by killing it.

use std::convert::Infallible;
use std::fs;
use std::io::{self, Read};
use std::process::{Command, Stdio};

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::mapping::Mapping;

/// Argument that makes this program be the reserve.
pub const RESERVE: &str = "reserve";

/// Bytes of the reserve: several times what the answer to the agent's largest question takes.
const RESERVE_BYTES: usize = 8 << 20;

/// Bytes of a page.
const PAGE: usize = 4096;

/// Takes this process off the OOM killer's list. Its children inherit that, see [`expose`].
///
/// # Errors
/// Without CAP_SYS_RESOURCE.
pub fn protect_self() -> io::Result<()> {
    fs::write("/proc/self/oom_score_adj", "-1000")
}

/// Puts child `pid` back on the OOM killer's list. One that has ended already needs nothing.
pub fn expose(pid: u32) {
    let _ = fs::write(format!("/proc/{pid}/oom_score_adj"), "0");
}

/// Starts the reserve, which goes with the thread that calls this, and waits until it has its memory.
///
/// # Errors
/// When there can be no other process, or it gets no memory.
pub fn start_reserve() -> io::Result<()> {
    let mut command = Command::new("/proc/self/exe");
    let mut reserve = command.arg(RESERVE).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let stdout = reserve.stdout.take();
    std::thread::Builder::new().name("reserve".to_owned()).spawn(move || reserve.wait())?;
    stdout.map_or(Ok(()), |mut stdout| stdout.read_exact(&mut [0]))
}

/// Is the reserve, until it is killed.
///
/// # Errors
/// When this process cannot be one, or there is no memory.
pub fn be_reserve() -> io::Result<Infallible> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    fs::write("/proc/self/oom_score_adj", "1000")?;
    let memory = Mapping::anonymous(RESERVE_BYTES)?;
    for page in (0..RESERVE_BYTES).step_by(PAGE) {
        memory.write_u8(page, 1);
    }
    memory.held()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_exposed_again() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let score = format!("/proc/{}/oom_score_adj", child.id());
        fs::write(&score, "500").unwrap();
        expose(child.id());
        let exposed = fs::read_to_string(&score).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(exposed, "0\n");
        expose(child.id());
    }
}
