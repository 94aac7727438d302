//! Guests with a whole distribution: their images, and what they are started with.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dimmer_images::distribution::{self, PROGRAMS};
use dimmer_images::{Cache, Kernel, fetch};

use crate::host::needs::{self, Need};
use crate::scenario::Distribution;
use crate::vm::{PATIENCE, Setup, TestVm, VmError};

/// The kernel command line: a console, and the distribution's own defaults for everything else, but for what takes time at boot
/// and has no part in memory.
const CMDLINE: &str = "console=ttyS0 panic=-1 loglevel=4 mitigations=off audit=0 cryptomgr.notests 8250.nr_uarts=1 \
    initcall_blacklist=jent_mod_init,load_system_certificate_list dimmer.root=vda dimmer.modules=vdb";

/// Windows of a machine that was not told otherwise.
pub const WINDOWS: [&str; 2] = ["method=acpi,slots=16,size=32G", "method=virtio-mem,size=32G"];

/// Builds an image, after making sure that the programs for that are there.
///
/// # Errors
/// What is missing, or failed.
pub fn build(cache: &Cache, name: &str, packages: &[String], renew: bool) -> Result<PathBuf, Box<dyn Error>> {
    let distribution = distribution::find(name)?;
    ensure()?;
    Ok(distribution.build(cache, packages, renew)?)
}

fn ensure() -> Result<(), needs::Error> {
    let purpose = "images of distributions";
    PROGRAMS.into_iter().try_for_each(|(program, package)| needs::ensure(Need { program, package, purpose }))
}

/// How long a distribution may take to boot: services come up for minutes in an emulated host.
const BOOTS: Duration = Duration::from_secs(900);

/// Makes sure that a distribution of just these packages can boot with each of `kernels`; what is missing is built.
///
/// # Errors
/// What is missing, or failed.
pub fn prepare<'a>(
    cache: &Cache,
    distribution: Distribution,
    packages: &[String],
    kernels: impl IntoIterator<Item = &'a Kernel>,
) -> Result<(), Box<dyn Error>> {
    let distribution = distribution::find(distribution.name())?;
    if distribution.built_of(cache, packages).is_err() {
        ensure()?;
        distribution.build_of(cache, packages)?;
    }
    for kernel in kernels {
        if !distribution::has_modules(cache, kernel) {
            ensure()?;
        }
        distribution::modules(cache, kernel)?;
    }
    Ok(())
}

/// Waits until the agent of a guest that has just been started answers, and systemd has started everything. Whatever became of
/// the services: degraded is a system to work with.
///
/// # Errors
/// [`VmError`] when the agent does not answer.
pub fn await_boot(vm: &mut TestVm) -> Result<(), VmError> {
    vm.connect_within(BOOTS)?;
    vm.guest().set_patience(BOOTS);
    let booted = vm.shell("systemctl is-system-running --wait; true");
    vm.guest().set_patience(PATIENCE);
    booted.map(drop)
}

/// The images that a guest with a distribution boots from. It writes to neither.
#[derive(Debug)]
pub struct Disks {
    root: PathBuf,
    modules: PathBuf,
}

impl Disks {
    /// Those of a distribution of just these packages and of `kernel`, which [`prepare`] has made.
    ///
    /// # Errors
    /// What there is not.
    pub fn find(
        distribution: Distribution,
        packages: &[String],
        kernel: &Kernel,
    ) -> Result<Self, Box<dyn Error>> {
        let cache = Cache::open()?;
        let root = distribution::find(distribution.name())?.built_of(&cache, packages)?;
        Ok(Self { root, modules: distribution::modules(&cache, kernel)? })
    }

    /// A machine with these disks; `more` goes onto the kernel's command line.
    #[must_use]
    pub fn setup<'a>(&self, kernel: &'a Kernel, more: &str) -> Setup<'a> {
        let disk = |path: &Path, id: &str| format!("path={},readonly=on,id={id}", path.display());
        Setup::new(kernel)
            .whole_cmdline(CMDLINE)
            .cmdline(more)
            .flag("--disk", disk(&self.root, "root"))
            .flag("--disk", disk(&self.modules, "modules"))
    }
}

/// A distribution with a kernel, ready to boot.
#[derive(Debug)]
pub struct Guest {
    /// The kernel.
    pub kernel: Kernel,
    disks: Disks,
}

impl Guest {
    /// The distribution called `name` with the kernel of that name, or its own; what is missing is built and fetched.
    ///
    /// # Errors
    /// What cannot be had.
    pub fn new(cache: &Cache, name: &str, kernel: Option<&str>) -> Result<Self, Box<dyn Error>> {
        Self::with(cache, name, kernel, &[])
    }

    /// The same with packages that its image is to have: one that lacks any is built anew, with all that it had.
    ///
    /// # Errors
    /// What cannot be had.
    pub fn with(
        cache: &Cache,
        name: &str,
        kernel: Option<&str>,
        packages: &[&str],
    ) -> Result<Self, Box<dyn Error>> {
        let distribution = distribution::find(name)?;
        let root = match distribution.lacking(cache, packages) {
            Some(all) => build(cache, name, &all, false)?,
            None => distribution.built(cache)?,
        };
        let kernel = fetch(cache, &[kernel.unwrap_or(distribution.kernel)], false)?.remove(0);
        dimmer_images::initramfs(&kernel)?;
        if !distribution::has_modules(cache, &kernel) {
            ensure()?;
        }
        let modules = distribution::modules(cache, &kernel)?;
        Ok(Self { kernel, disks: Disks { root, modules } })
    }

    /// A machine with its disks; `more` goes onto the kernel's command line.
    #[must_use]
    pub fn setup(&self, more: &str) -> Setup<'_> {
        self.disks.setup(&self.kernel, more)
    }
}

#[cfg(test)]
mod tests {
    use dimmer_images::distribution::ALL;

    use crate::scenario::DISTRIBUTIONS;

    #[test]
    fn a_scenario_can_have_what_can_be_built() {
        assert_eq!(ALL.map(|one| (one.name, one.suite)), DISTRIBUTIONS);
    }
}
