//! Which guest runs which scenarios.
//!
//! A guest's boot takes longer than most scenarios, and a child of one that has booted is there at once: so scenarios whose
//! machines are the same, and the settings that only a boot can change, run on children of one guest.

use std::collections::BTreeSet;

use dimmer_images::Kernel;
use dimmer_oracle::release::Release;

use crate::library::Source;
use crate::scenario::{Action, Addresses, Scenario};

/// Most scenarios that run on children of one guest, so that the work can be spread.
const MOST: usize = 8;
/// What a boot costs, where a step costs 1; measured in the emulated host.
const BOOT: u64 = 6;
/// The same of a distribution.
const DISTRIBUTION_BOOT: u64 = 40;
/// Memory that a guest takes of its host beside what it needs for each page of memory that it knows.
const BASE: u64 = 512 << 20;
/// The same of a distribution, whose packages lie in the caches of host and guest, and which runs programs.
const DISTRIBUTION_BASE: u64 = 1536 << 20;
/// The kernel's `struct page` takes 64 bytes of each 4096.
const PAGE_PER_MEMMAP: u64 = 64;

/// Scenarios that run on one guest, or its children, in this order.
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    /// What it boots.
    pub kernel: &'a Kernel,
    /// What it runs; never empty.
    pub sources: Vec<&'a Source>,
}

/// All there is to do.
#[derive(Debug, Clone, Default)]
pub struct Plan<'a> {
    /// What is to be run.
    pub batches: Vec<Batch<'a>>,
    /// What is not, since the scenario is not about the kernel.
    pub skipped: Vec<(&'a Source, &'a Kernel)>,
}

impl<'a> Plan<'a> {
    /// Names of the kernels that some of `sources` boot instead of one of `kernels`, which lacks something.
    pub fn flavours<'k>(sources: &[Source], kernels: &[&'k str]) -> BTreeSet<&'k str> {
        let wanted = sources.iter().flat_map(|source| kernels.iter().map(move |kernel| (source, *kernel)));
        let flavours = wanted.map(|(source, kernel)| (source.scenario.kernel(kernel), kernel));
        flavours.filter(|(flavour, kernel)| flavour != kernel).map(|(flavour, _)| flavour).collect()
    }

    /// Plans the check of all `sources` on all `kernels`, each on a boot of its own unless that may be `shared`. Where a
    /// scenario needs another flavour of a kernel, that is one of `flavours`.
    pub fn new(sources: &'a [Source], kernels: &'a [Kernel], flavours: &'a [Kernel], shared: bool) -> Self {
        let mut plan = Self::default();
        for kernel in kernels {
            // A kernel whose release is not known is whatever its owner says it is.
            let release: Option<Release> = kernel.release.parse().ok();
            let about = |source: &&Source| release.is_none_or(|release| source.scenario.is_about(release));
            let (wanted, skipped): (Vec<_>, Vec<_>) = sources.iter().partition(about);
            plan.skipped.extend(skipped.into_iter().map(|source| (source, kernel)));
            let (usual, others): (Vec<_>, Vec<_>) =
                wanted.into_iter().partition(|source| source.scenario.kernel(&kernel.name) == kernel.name);
            let flavour = |source: &Source| {
                flavours.iter().find(|flavour| flavour.name == source.scenario.kernel(&kernel.name))
            };
            let other = others.first().and_then(|source| flavour(source)).unwrap_or(kernel);
            for (kernel, sources) in [(kernel, usual), (other, others)] {
                let batches = batches(sources, shared);
                plan.batches.extend(batches.into_iter().map(|sources| Batch { kernel, sources }));
            }
        }
        plan
    }
}

impl Batch<'_> {
    /// About how long it takes, where a step takes 1.
    pub fn cost(&self) -> u64 {
        let steps = self.sources.iter().flat_map(|source| &source.scenario.steps);
        let boot = if self.has_distribution() { DISTRIBUTION_BOOT } else { BOOT };
        boot + steps.map(|step| effort(&step.action())).sum::<u64>()
    }

    fn has_distribution(&self) -> bool {
        self.sources.iter().any(|source| source.scenario.guest.distribution.is_some())
    }

    /// About how much of its host's memory its guest takes at most, in bytes.
    pub fn memory(&self) -> u64 {
        let known = |source: &&Source| Addresses::plan(&source.scenario.machine).map_or(0, |all| all.size());
        // The warm guest and its child.
        let guests = if self.sources.len() > 1 { 2 } else { 1 };
        let base = if self.has_distribution() { DISTRIBUTION_BASE } else { BASE };
        guests * base + self.sources.iter().map(known).max().unwrap_or(0) / PAGE_PER_MEMMAP
    }
}

/// What a step costs: more when it is about many devices, one after the other.
fn effort(action: &Action<'_>) -> u64 {
    match action {
        Action::Plug(plug) => 1 + u64::from(plug.count.unwrap_or(1)) / 4,
        Action::Reboot | Action::Kexec | Action::Crash => BOOT,
        // The driver waits for 50 seconds.
        Action::Settle => 4 * BOOT,
        _ => 1,
    }
}

/// Splits scenarios into those that have one guest's boot in common.
fn batches(sources: Vec<&Source>, shared: bool) -> Vec<Vec<&Source>> {
    let mut groups: Vec<(Option<String>, Vec<&Source>)> = Vec::new();
    for source in sources {
        let boot = boot(&source.scenario).filter(|_| shared);
        match groups.iter_mut().find(|(same, _)| boot.is_some() && *same == boot) {
            Some((_, group)) => group.push(source),
            None => groups.push((boot, vec![source])),
        }
    }
    groups.iter().flat_map(|(_, group)| group.chunks(MOST)).map(<[_]>::to_vec).collect()
}

/// What a guest must have booted with to run the scenario, as a text to compare; nothing for a machine that cannot be. What
/// can be changed later is no part of it, unless memory devices are there at the boot, or another boot follows.
fn boot(scenario: &Scenario) -> Option<String> {
    let addresses = Addresses::plan(&scenario.machine).ok()?;
    let asks_at_boot = addresses.virtio_mem.iter().any(|(_, _, requested)| *requested > 0);
    let boots = |action: &Action<'_>| matches!(action, Action::Reboot | Action::Kexec | Action::Crash);
    let boots = scenario.steps.iter().any(|step| boots(&step.action()));
    let has_distribution = scenario.guest.distribution.is_some();
    let at_boot = asks_at_boot || !addresses.machine.dimms.is_empty() || boots || has_distribution;
    let guest = if at_boot { scenario.guest.clone() } else { scenario.guest.without_what_can_change() };
    // A kernel that is to be started is a file of the guest's.
    let files = scenario.starts_another_kernel();
    serde_json::to_string(&(&scenario.machine, at_boot, guest, files)).ok()
}

#[cfg(test)]
mod tests;
