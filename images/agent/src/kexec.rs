//! Starting another kernel from this one, without the machine knowing (kexec_file_load(2)): at once,
//! or when this one panics.
#![expect(unsafe_code, reason = "neither std nor rustix has these system calls")]

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;

use crate::protocol::{Failure, KexecLoad};
use crate::tree::Tree;

/// Argument that makes this program start the loaded kernel.
pub const START: &str = "kexec";

/// The driver of the agent's port and of nothing else.
const CONSOLE_DRIVER: &str = "sys/bus/virtio/drivers/virtio_console";

/// Loads the kernel that `load` names.
///
/// # Errors
/// When a file cannot be opened, or the kernel refuses: `ENOEXEC` for what is no bzImage,
/// `EADDRNOTAVAIL` for a crash kernel without memory set aside for it (`crashkernel=`).
pub fn load(load: &KexecLoad) -> Result<(), Failure> {
    let open = |path: &str| {
        File::open(path).map_err(|error| Failure::from_io(&format!("open the kexec file {path}"), &error))
    };
    let (kernel, initramfs) = (open(&load.kernel)?, open(&load.initramfs)?);
    let cmdline = CString::new(load.cmdline.as_str())
        .map_err(|_| Failure::new("The command line of the kernel to load holds a NUL"))?;
    let flags = if load.on_crash { libc::KEXEC_FILE_ON_CRASH } else { 0 };
    file_load(&kernel, &initramfs, &cmdline, flags)
        .map_err(|error| Failure::from_io(&format!("load the kernel {}", load.kernel), &error))
}

fn file_load(kernel: &File, initramfs: &File, cmdline: &CString, flags: libc::c_int) -> io::Result<()> {
    let cmdline = cmdline.as_bytes_with_nul();
    // SAFETY: The descriptors are open and the command line is as long as its length says, with its
    // NUL, for as long as the call takes.
    let result = unsafe {
        libc::syscall(
            libc::SYS_kexec_file_load,
            kernel.as_raw_fd(),
            initramfs.as_raw_fd(),
            cmdline.len(),
            cmdline.as_ptr(),
            libc::c_long::from(flags),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes sure that a kernel is loaded to be started at once.
///
/// # Errors
/// When none is.
pub fn is_loaded(tree: &Tree) -> Result<(), Failure> {
    const LOADED: &str = "sys/kernel/kexec_loaded";
    match tree.read(LOADED) {
        Ok(flag) if flag == "1" => Ok(()),
        Ok(_) => Err(Failure::new("No kernel is loaded")),
        Err(error) => Err(Failure::from_io(&format!("read /{LOADED}"), &error)),
    }
}

/// Has another process start the loaded kernel, since the agent ends when its port goes away. Comes
/// back only when that process ends first.
pub fn spawn() -> io::Error {
    match std::process::Command::new("/proc/self/exe").arg(START).status() {
        Ok(status) => io::Error::other(format!("the process that was to do it ended: {status}")),
        Err(error) => error,
    }
}

/// Starts the loaded kernel. Comes back only when that fails.
///
/// The consoles' devices are taken from their driver first, which resets them: what the machine
/// writes to their queues later would overwrite the next kernel.
pub fn start(tree: &Tree) -> io::Error {
    if let Err(error) = release_consoles(tree) {
        return error;
    }
    rustix::fs::sync();
    // SAFETY: This command takes no argument.
    match unsafe { libc::reboot(libc::LINUX_REBOOT_CMD_KEXEC) } {
        0 => io::Error::other("the kernel carried on after reboot(2)"),
        _ => io::Error::last_os_error(),
    }
}

fn release_consoles(tree: &Tree) -> io::Result<()> {
    for entry in fs::read_dir(tree.path(CONSOLE_DRIVER))? {
        let name = entry?.file_name();
        let Some(device) = name.to_str().filter(|name| name.starts_with("virtio")) else { continue };
        tree.write(&format!("{CONSOLE_DRIVER}/unbind"), device)?;
    }
    Ok(())
}

/// Makes the kernel panic. Comes back only when it does not.
pub fn crash() -> io::Error {
    match fs::write("/proc/sysrq-trigger", "c") {
        Ok(()) => io::Error::other("the kernel carried on after a crash was asked for"),
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_cannot_be_loaded_are_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let there = file.path().to_str().unwrap().to_owned();
        let request = |kernel: &str, cmdline: &str| KexecLoad {
            kernel: kernel.to_owned(),
            initramfs: there.clone(),
            cmdline: cmdline.to_owned(),
            on_crash: false,
        };
        let failure = load(&request("/no/such/kernel", "")).unwrap_err();
        assert_eq!(failure.errno, Some(libc::ENOENT));
        assert!(failure.text.starts_with("Cannot open the kexec file /no/such/kernel: ENOENT"));
        let failure = load(&request(&there, "a\0b")).unwrap_err();
        assert_eq!(failure.text, "The command line of the kernel to load holds a NUL");
    }

    #[test]
    fn only_the_consoles_are_taken_from_their_driver() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::new(root.path());
        std::fs::create_dir_all(tree.path(CONSOLE_DRIVER)).unwrap();
        for name in ["bind", "unbind", "module", "virtio7"] {
            std::fs::write(tree.path(format!("{CONSOLE_DRIVER}/{name}")), "").unwrap();
        }
        release_consoles(&tree).unwrap();
        assert_eq!(tree.read(&format!("{CONSOLE_DRIVER}/unbind")).unwrap(), "virtio7");
    }

    #[test]
    fn a_kernel_is_loaded_when_the_kernel_says_so() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::new(root.path());
        std::fs::create_dir_all(tree.path("sys/kernel")).unwrap();
        std::fs::write(tree.path("sys/kernel/kexec_loaded"), "0\n").unwrap();
        assert_eq!(is_loaded(&tree).unwrap_err().text, "No kernel is loaded");
        std::fs::write(tree.path("sys/kernel/kexec_loaded"), "1\n").unwrap();
        assert_eq!(is_loaded(&tree), Ok(()));
    }
}
