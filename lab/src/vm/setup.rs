//! What a machine is to be started with, and starting it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use dimmer_images::Kernel;

use super::{TestVm, VmError, at, launch};

/// The kernel command line of the lab's guests unless a test wants another: quiet, since every byte
/// on the serial console is an exit; without zeroing on allocation, which Debian's kernels do by
/// default and virtio-mem's driver then does to all memory that it gives back; without what takes time
/// at boot and has no part in memory: mitigations, audits and security modules, IPv6, tests of ciphers
/// and of a source of entropy (`jent_mod_init` alone takes a tenth of the boot), tables of BPF and
/// certificates, more than one serial port; and with the policy of the kernel series that introduced
/// memory groups.
pub const CMDLINE: &str = "console=ttyS0 loglevel=3 panic=-1 init_on_alloc=0 mitigations=off audit=0 apparmor=0 \
    cryptomgr.notests ipv6.disable=1 8250.nr_uarts=1 \
    initcall_blacklist=jent_mod_init,bpf_tcp_ca_kfunc_init,bpf_dummy_struct_ops_init,load_system_certificate_list \
    memhp_default_state=online memory_hotplug.online_policy=auto-movable \
    memory_hotplug.auto_movable_ratio=301";

/// What a machine is to be started with.
#[derive(Debug)]
pub struct Setup<'a> {
    kernel: &'a Kernel,
    image: &'a Path,
    cmdline: String,
    serial: Option<String>,
    watched: bool,
    arguments: Vec<String>,
    /// Paths in the guest, and the files that are to be there.
    files: Vec<(String, PathBuf)>,
}

impl<'a> Setup<'a> {
    /// The kernel's preferred image, the lab's initramfs and command line.
    pub fn new(kernel: &'a Kernel) -> Self {
        Self {
            kernel,
            image: kernel.image(),
            cmdline: CMDLINE.to_owned(),
            serial: None,
            watched: true,
            arguments: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Boots this image of the kernel instead.
    pub fn image(mut self, image: &'a Path) -> Self {
        self.image = image;
        self
    }

    /// Does not watch the console for a panic's words, which is done otherwise: a panic that comes before any driver, or on
    /// a kernel without one for pvpanic, is not to look like a hang.
    pub fn unwatched(mut self) -> Self {
        self.watched = false;
        self
    }

    /// Adds words to the kernel command line.
    pub fn cmdline(mut self, more: &str) -> Self {
        self.cmdline = format!("{} {more}", self.cmdline);
        self
    }

    /// Connects the serial console to this instead of to a file.
    pub fn serial(mut self, to: &str) -> Self {
        self.serial = Some(to.to_owned());
        self
    }

    /// Adds arguments of `dimmer run`, split at blanks.
    pub fn arguments(mut self, words: &str) -> Self {
        self.arguments.extend(words.split_whitespace().map(str::to_owned));
        self
    }

    /// Adds a flag of `dimmer run` and its value, which may have blanks.
    pub fn flag(mut self, flag: &str, value: String) -> Self {
        self.arguments.extend([flag.to_owned(), value]);
        self
    }

    /// Takes another kernel command line in place of the lab's.
    pub fn whole_cmdline(mut self, cmdline: &str) -> Self {
        cmdline.clone_into(&mut self.cmdline);
        self
    }

    /// Puts a copy of a file of the host at `path` in the guest.
    pub fn file(mut self, path: &str, file: &Path) -> Self {
        self.files.push((path.to_owned(), file.to_owned()));
        self
    }

    /// What machines of one setup have in common.
    pub(super) fn key(&self) -> String {
        let Self { kernel: _, image, cmdline, serial, watched, arguments, files } = self;
        format!("{image:?} {cmdline:?} {serial:?} {watched} {arguments:?} {files:?}")
    }

    /// Starts the machine and waits until its agent answers.
    ///
    /// # Errors
    /// [`VmError`] with the console's last lines.
    pub fn boot(self) -> Result<TestVm, VmError> {
        let mut vm = self.start()?;
        vm.connect()?;
        Ok(vm)
    }

    /// What `dimmer run` is to be told, but for its sockets and its console; a copy of the initramfs is in `dir`.
    ///
    /// # Errors
    /// [`VmError`].
    pub fn words(&self, dir: &Path) -> Result<Vec<OsString>, VmError> {
        let initramfs = self.initramfs(dir)?;
        let mut arguments: Vec<OsString> = Vec::new();
        arguments.extend(["--kernel".into(), self.image.into(), "--initramfs".into(), initramfs.into()]);
        arguments.extend(["--cmdline".into(), self.cmdline.clone().into()]);
        arguments.extend(self.watched.then(|| "--watch-console".into()));
        arguments.extend(self.arguments.iter().map(OsString::from));
        Ok(arguments)
    }

    /// Starts the machine and waits for nothing but its API.
    ///
    /// # Errors
    /// [`VmError`].
    pub fn start(&self) -> Result<TestVm, VmError> {
        let dir = launch::directory()?;
        let arguments = self.words(dir.path())?;
        launch::launch(dir, arguments, self.serial.as_deref())
    }

    /// The lab's initramfs or, with files of the test's own, one of the machine's in `dir`.
    fn initramfs(&self, dir: &Path) -> Result<PathBuf, VmError> {
        let images = |error: dimmer_images::initramfs::Error| VmError::Images(crate::chain(&error));
        let initramfs = dimmer_images::initramfs(self.kernel).map_err(images)?;
        if self.files.is_empty() {
            return Ok(initramfs);
        }
        let own = dir.join("initramfs");
        let bytes = dimmer_images::initramfs::extended(&initramfs, &self.files).map_err(images)?;
        fs::write(&own, bytes).map_err(at("write an initramfs"))?;
        Ok(own)
    }
}
