//! The interactive shell on the console.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::process::Command;

use crate::exec::PATH;

const BUSYBOX: &str = "/bin/busybox";

/// Whether the kernel's command line names a console that is a device in `devices` (/dev).
pub fn is_named(cmdline: &str, devices: &Path) -> bool {
    let consoles = cmdline.split_ascii_whitespace().filter_map(|word| word.strip_prefix("console="));
    let mut names = consoles.filter_map(|console| console.split(',').next());
    names.any(|name| !name.is_empty() && devices.join(name).exists())
}

/// A shell in a session of its own, with the console as its controlling terminal.
///
/// # Errors
/// When the console cannot be opened.
pub fn shell() -> io::Result<Command> {
    let console = OpenOptions::new().read(true).write(true).open("/dev/console")?;
    let mut command = Command::new(BUSYBOX);
    command
        .args(["setsid", "-c", BUSYBOX, "sh"])
        .env("PATH", PATH)
        .env("HOME", "/")
        .env("TERM", "vt220")
        .current_dir("/")
        .stdin(console.try_clone()?)
        .stdout(console.try_clone()?)
        .stderr(console);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_counts_when_its_device_exists() {
        let devices = tempfile::tempdir().unwrap();
        std::fs::write(devices.path().join("ttyS0"), "").unwrap();
        let is_named = |cmdline| is_named(cmdline, devices.path());
        assert!(is_named("quiet console=ttyS0,115200n8 panic=-1\n"));
        assert!(is_named("console=hvc0 console=ttyS0"));
        assert!(!is_named("console=hvc0"));
        assert!(!is_named("console="));
        assert!(!is_named("netconsole=ttyS0 quiet"));
        assert!(!is_named(""));
    }
}
