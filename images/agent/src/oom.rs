//! Keeping the agent alive when a test uses up the guest's memory: the kernel kills others first
//! (`oom_score_adj`, Documentation/filesystems/proc.rst).

use std::fs;
use std::io;

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
