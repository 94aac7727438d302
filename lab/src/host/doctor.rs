//! What this machine is and what it lacks, as a report: one line for each thing, and the command that mends it.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use dimmer_images::{Cache, Qemu, busybox, kernels, qemu};

use super::detect::{self, Kvm};
use super::needs::{self, Need};
use super::qemu::Size;

/// What the cache takes with every kernel of the table, rounded up.
const CACHE_SIZE: u64 = 2 << 30;

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Fine,
    /// Worth knowing; everything works all the same.
    Note,
    /// Something does not work without it.
    Missing,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub name: String,
    /// How it is.
    pub state: State,
    /// What was seen.
    pub seen: String,
    /// The exact command that mends it, if there is one.
    pub fix: Option<String>,
}

/// All that was looked at.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order in which things depend on each other.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing is missing.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.findings.iter().all(|finding| finding.state != State::Missing)
    }

    fn add(&mut self, name: impl Into<String>, state: State, seen: impl Into<String>, fix: Option<String>) {
        self.findings.push(Finding { name: name.into(), state, seen: seen.into(), fix });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { name, state, seen, fix } in &self.findings {
            let mark = match state {
                State::Fine => "ok",
                State::Note => "note",
                State::Missing => "MISSING",
            };
            writeln!(f, "{mark:<8} {name:<18} {seen}")?;
            if let Some(fix) = fix {
                writeln!(f, "{:<8} {:<18} fix: {fix}", "", "")?;
            }
        }
        Ok(())
    }
}

/// Looks at everything that Dimmer's lab and its tests need. Changes nothing but an empty cache directory.
#[must_use]
pub fn examine() -> Report {
    let mut report = Report::default();
    let kvm = detect::here();
    let root = rustix::process::geteuid().is_root();
    host(&mut report, &kvm);
    programs(&mut report, &needs::ACPICA, root);
    images(&mut report, &kvm);
    memory(&mut report, &kvm, &fs::read_to_string("/proc/meminfo").unwrap_or_default());
    report
}

fn host(report: &mut Report, kvm: &Kvm) {
    match kvm {
        Kvm::Hardware { .. } => report.add("hardware KVM", State::Fine, kvm.to_string(), None),
        Kvm::NoFlag { .. } => {
            report.add("hardware KVM", State::Note, format!("{kvm}: the emulated host is used"), None);
        }
        Kvm::NoDevice { flag, cause } => {
            let fix = match cause.kind() {
                io::ErrorKind::PermissionDenied => {
                    "sudo usermod -aG kvm \"$USER\"  # then log in again".into()
                }
                _ => format!("sudo modprobe {}", if *flag == "svm" { "kvm-amd" } else { "kvm-intel" }),
            };
            let seen = format!("{kvm}: the slower emulated host is used");
            report.add("hardware KVM", State::Note, seen, Some(fix));
        }
    }
}

fn programs(report: &mut Report, wanted: &[Need], root: bool) {
    for need in wanted {
        match needs::find(need.program) {
            Some(path) => report.add(need.program, State::Fine, path.display().to_string(), None),
            None => {
                let seen = format!("not in PATH; needed for {}", need.purpose);
                report.add(need.program, State::Missing, seen, Some(needs::command(&[*need], root)));
            }
        }
    }
    for program in ["apt-get", "apt-cache", "apt-config", "dpkg-deb"] {
        if needs::find(program).is_none() {
            let seen = "not in PATH; only kernels given by path work without it";
            report.add(program, State::Missing, seen, None);
        }
    }
}

fn images(report: &mut Report, kvm: &Kvm) {
    let cache = match Cache::open() {
        Ok(cache) => cache,
        Err(error) => {
            let fix = Some(format!("export {}=/a/directory/you/can/write", dimmer_images::cache::VARIABLE));
            return report.add("cache", State::Missing, crate::chain(&error), fix);
        }
    };
    space(report, cache.root());
    let seen = match busybox::Busybox::find(&cache) {
        Some(busybox) => busybox.path.display().to_string(),
        None => format!("not here yet; fetched with the first kernel (package {})", busybox::PACKAGE),
    };
    report.add("static busybox", State::Fine, seen, None);
    if !kvm.is_hardware() {
        let seen = match Qemu::find(&cache) {
            Some(qemu) => qemu.version,
            None => format!("not here yet; fetched with the first emulated host (package {})", qemu::PACKAGE),
        };
        report.add("QEMU", State::Fine, seen, None);
    }
    let wanted = kernels::SOURCES
        .iter()
        .filter(|source| source.alias.is_some() || (source.name == kernels::HOST && !kvm.is_hardware()));
    let program = std::env::args().next().unwrap_or_else(|| "dimmer-lab".into());
    for source in wanted {
        let name = format!("kernel {}", source.name);
        match dimmer_images::Kernel::resolve_in(&cache, source.name) {
            Ok(kernel) => report.add(name, State::Fine, kernel.version.unwrap_or_default(), None),
            Err(error) => {
                let fix = format!("{program} images fetch {}", source.name);
                report.add(name, State::Missing, crate::chain(&error), Some(fix));
            }
        }
    }
}

fn space(report: &mut Report, cache: &Path) {
    let probe = cache.join(format!("probe-{}", std::process::id()));
    if let Err(error) = fs::write(&probe, "").and_then(|()| fs::remove_file(&probe)) {
        let seen = format!("{} is not writable: {error}", cache.display());
        let fix = Some(format!("export {}=/a/directory/you/can/write", dimmer_images::cache::VARIABLE));
        return report.add("cache", State::Missing, seen, fix);
    }
    let free = rustix::fs::statvfs(cache).map_or(0, |found| found.f_bavail.saturating_mul(found.f_frsize));
    let state = if free < CACHE_SIZE { State::Note } else { State::Fine };
    let seen = format!("{}, {} MiB free of at most {} needed", cache.display(), free >> 20, CACHE_SIZE >> 20);
    report.add("cache", state, seen, None);
}

/// `meminfo` is the text of /proc/meminfo.
fn memory(report: &mut Report, kvm: &Kvm, meminfo: &str) {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let available = kib.unwrap_or(0) << 10;
    let wanted = if kvm.is_hardware() { 4 << 30 } else { Size::default().memory };
    let state = if available < wanted { State::Note } else { State::Fine };
    let seen = format!("{} MiB available, up to {} used", available >> 20, wanted >> 20);
    report.add("memory", state, seen, None);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_has_its_fix_and_spoils_the_report() {
        let need = Need { program: "no-such-program", package: "some-package", purpose: "this test" };
        let mut report = Report::default();
        programs(&mut report, &[Need { program: "sh", ..need }], true);
        assert!(report.is_fine());
        programs(&mut report, &[need], true);
        assert!(!report.is_fine());
        let text = report.to_string();
        assert!(text.contains("MISSING  no-such-program"), "{text}");
        assert!(text.contains("fix: apt-get update && apt-get install"), "{text}");
    }

    #[test]
    fn a_device_that_does_not_open_is_noted_with_the_fix_for_its_cause() {
        let fix = |kind: io::ErrorKind| {
            let mut report = Report::default();
            host(&mut report, &Kvm::NoDevice { flag: "svm", cause: kind.into() });
            assert!(report.is_fine());
            report.findings.remove(0).fix.unwrap()
        };
        assert!(fix(io::ErrorKind::PermissionDenied).contains("usermod -aG kvm"));
        assert_eq!(fix(io::ErrorKind::NotFound), "sudo modprobe kvm-amd");
    }

    #[test]
    fn little_memory_is_noted() {
        let kvm = Kvm::NoFlag { device: false };
        for (kib, state) in [("1000", State::Note), ("99999999", State::Fine)] {
            let mut report = Report::default();
            memory(&mut report, &kvm, &format!("MemTotal: 1 kB\nMemAvailable:   {kib} kB\n"));
            assert_eq!(report.findings[0].state, state);
        }
    }
}
