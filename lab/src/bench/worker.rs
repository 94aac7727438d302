//! The part of a bench that runs on the host with KVM: what is measured is copied to the host's memory, and each task has a
//! directory of its own there.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dimmer_images::{Cache, Kernel, initramfs, qemu};
use rustix::fs::{StatVfsMountFlags, statvfs};

use super::machine::{Files, last_words};
use super::measure::{self, Ground, Run};
use super::peer::Program;
use super::{Error, Outcome, Task};
use crate::vm::CMDLINE;

/// A file system in memory.
const MEMORY: &str = "/dev/shm";
/// What the guest runs first: it says so, and then becomes what it would have been.
const FIRST: &str = "echo @init\nexec /init\n";
/// Its path in the guest.
const FIRST_PATH: &str = "/bench";

/// The word for memory that can go again: of what is plugged nothing becomes the kernel's own.
const MOVABLE: &str = "memhp_default_state=online_movable";

/// Carries tasks out.
#[derive(Debug)]
pub struct Worker {
    kernel: Kernel,
    /// What has been copied.
    place: tempfile::TempDir,
    /// The words that run each program, by its file.
    programs: BTreeMap<Option<PathBuf>, Vec<OsString>>,
    tasks: u32,
}

impl Worker {
    /// A worker whose machines boot `kernel`.
    ///
    /// # Errors
    /// When there is no room in the host's memory, or no initramfs.
    pub fn new(kernel: &Kernel) -> Result<Self, Error> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("dimmer-bench-");
        let place = if takes_programs() { builder.tempdir_in(MEMORY) } else { builder.tempdir() }?;
        fs::copy(kernel.image(), place.path().join("kernel"))?;
        fs::write(place.path().join("first"), FIRST)?;
        let files = [(FIRST_PATH.to_owned(), place.path().join("first"))];
        let archive = initramfs::extended(&dimmer_images::initramfs(kernel)?, &files)?;
        fs::write(place.path().join("initramfs"), archive)?;
        Ok(Self { kernel: kernel.clone(), place, programs: BTreeMap::new(), tasks: 0 })
    }

    /// Carries out a task.
    pub fn carry_out(&mut self, task: &Task) -> Outcome {
        self.tasks += 1;
        let dir = self.place.path().join(self.tasks.to_string());
        let outcome = match self.measure(task, &dir).into() {
            Outcome::Failed(why) => Outcome::Failed(why + &last_words(&dir)),
            outcome => outcome,
        };
        // What is left of it takes memory, and nothing else.
        let _ = fs::remove_dir_all(&dir);
        outcome
    }

    fn measure(&mut self, task: &Task, dir: &Path) -> Result<Vec<Option<f64>>, Error> {
        let measure = measure::find(&task.measure).ok_or("there is no such measure")?;
        let words = self.words(&task.program)?;
        let file = |name| self.place.path().join(name);
        fs::create_dir_all(dir)?;
        let files = Files {
            dir: dir.to_owned(),
            kernel: file("kernel"),
            initramfs: file("initramfs"),
            cmdline: format!("{CMDLINE} {MOVABLE} rdinit=/bin/sh -- {FIRST_PATH}"),
        };
        let ground = Ground { kind: task.program.kind, words, kernel: self.kernel.clone(), files };
        match measure.run {
            Run::Machines(run) | Run::Dimmer(run) => run(&ground),
            Run::Here(run) => run(),
        }
    }

    /// The words that run the program, which is copied to memory before its first use.
    fn words(&mut self, program: &Program) -> Result<Vec<OsString>, Error> {
        if let Some(words) = self.programs.get(&program.path) {
            return Ok(words.clone());
        }
        let place = self.place.path().join(program.kind.name());
        let words = match &program.path {
            Some(path) => copied(path, &place)?,
            None => {
                let qemu = qemu::Qemu::find(&Cache::open()?).ok_or("there is no QEMU in the cache")?;
                words(&qemu.copied(&self.place.path().join("qemu"))?.command())
            }
        };
        self.programs.insert(program.path.clone(), words.clone());
        Ok(words)
    }
}

/// Whether there is a file system in memory that programs may be run from. In the emulated host there is none, and all that
/// is written is in memory.
fn takes_programs() -> bool {
    statvfs(MEMORY).is_ok_and(|found| !found.f_flag.contains(StatVfsMountFlags::NOEXEC))
        && Path::new(MEMORY).metadata().is_ok_and(|found| found.is_dir())
}

/// Copies the program; QEMU's firmware stays where it was installed, beside it.
fn copied(path: &Path, place: &Path) -> Result<Vec<OsString>, Error> {
    fs::copy(path, place)?;
    let mut words = vec![place.into()];
    let installed = path.parent().and_then(Path::parent).map(|prefix| prefix.join("share"));
    let firmware = |name: &str| installed.as_ref().map(|share| share.join(name)).filter(|dir| dir.is_dir());
    if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("qemu")) {
        let directories: Vec<PathBuf> = ["qemu", "seabios"].into_iter().filter_map(firmware).collect();
        words.extend(directories.into_iter().flat_map(|dir| ["-L".into(), dir.into()]));
    }
    Ok(words)
}

fn words(command: &Command) -> Vec<OsString> {
    std::iter::once(command.get_program()).chain(command.get_args()).map(OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_copied_and_qemu_finds_its_firmware() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("usr/bin")).unwrap();
        fs::create_dir_all(at("usr/share/seabios")).unwrap();
        fs::write(at("usr/bin/qemu-system-x86_64"), "q").unwrap();
        fs::write(at("usr/bin/other"), "o").unwrap();
        let words = copied(&at("usr/bin/qemu-system-x86_64"), &at("qemu")).unwrap();
        assert_eq!(words, [at("qemu").into(), OsString::from("-L"), at("usr/share/seabios").into()]);
        assert_eq!(copied(&at("usr/bin/other"), &at("copy")).unwrap(), [at("copy").into_os_string()]);
        assert_eq!(fs::read_to_string(at("copy")).unwrap(), "o");
    }
}
