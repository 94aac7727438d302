//! Which guest runs which scenarios.
//!
//! A guest's boot takes longer than most scenarios, so scenarios share a guest where that makes no difference: their
//! machines are the same, so are the settings that only a boot can change, and each but the last leaves memory behind
//! that can be removed again for sure: nothing hotplugged in a kernel zone, where pages may be that cannot move.

use std::collections::BTreeSet;

use dimmer_images::Kernel;
use dimmer_oracle::release::Release;
use dimmer_oracle::zone::Zone;

use crate::library::Source;
use crate::predict::Prediction;
use crate::scenario::{Action, Addresses, Expect, ExpectWord, Scenario};

/// Most scenarios that one guest runs, so that the work can be spread.
const MOST: usize = 8;
/// Most memory devices whose removal takes less time than a boot.
const FEW_DEVICES: usize = 12;
/// What a boot costs, where a step costs 1; measured in the emulated host.
const BOOT: u64 = 6;
/// Memory that a guest takes of its host beside what it needs for each page of memory that it knows.
const BASE: u64 = 512 << 20;
/// The kernel's `struct page` takes 64 bytes of each 4096.
const PAGE_PER_MEMMAP: u64 = 64;

/// Scenarios that one guest runs, in this order.
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

    /// Plans the check of all `sources` on all `kernels`, each on a guest of its own unless they may be `shared`. Where a
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
                let release = release.filter(|_| shared);
                let batches = batches(sources, release);
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
        BOOT + steps.map(|step| effort(&step.action())).sum::<u64>()
    }

    /// About how much of its host's memory its guest takes at most, in bytes.
    pub fn memory(&self) -> u64 {
        let known = |source: &&Source| Addresses::plan(&source.scenario.machine).map_or(0, |all| all.size());
        BASE + self.sources.iter().map(known).max().unwrap_or(0) / PAGE_PER_MEMMAP
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

/// Splits scenarios into those that one guest of `release` runs; each has its own when that is not known. Those that leave
/// something behind come last.
fn batches(sources: Vec<&Source>, release: Option<Release>) -> Vec<Vec<&Source>> {
    let mut groups: Vec<(Option<String>, Vec<&Source>)> = Vec::new();
    for source in sources {
        let boot = release.and_then(|_| boot(&source.scenario));
        match groups.iter_mut().find(|(same, _)| boot.is_some() && *same == boot) {
            Some((_, group)) => group.push(source),
            None => groups.push((boot, vec![source])),
        }
    }
    let mut batches = Vec::new();
    for (_, group) in groups {
        let (clean, last): (Vec<_>, Vec<_>) = group
            .into_iter()
            .partition(|source| release.is_some_and(|release| can_be_undone(&source.scenario, release)));
        let mut chains: Vec<Vec<_>> = clean.chunks(MOST).map(<[_]>::to_vec).collect();
        for (number, source) in last.into_iter().enumerate() {
            match chains.get_mut(number) {
                Some(chain) => chain.push(source),
                None => chains.push(vec![source]),
            }
        }
        batches.extend(chains);
    }
    batches
}

/// What a guest must have booted with to run the scenario, as a text to compare; nothing when only a boot of its own
/// will do. What can be changed later is no part of it, unless memory devices are there at the boot, or another follows.
fn boot(scenario: &Scenario) -> Option<String> {
    let addresses = Addresses::plan(&scenario.machine).ok()?;
    let asks_at_boot = addresses.virtio_mem.iter().any(|(_, _, requested)| *requested > 0);
    let reboots = scenario.steps.iter().any(|step| !may_share(&step.action()));
    if asks_at_boot || !addresses.machine.dimms.is_empty() || reboots {
        return None;
    }
    let guest = &scenario.guest.without_what_can_change();
    serde_json::to_string(&(&scenario.machine, guest)).ok()
}

/// Whether a guest may run other scenarios before and after one with this step. Say yes only to what
/// [`Guest::bring_back`](super::guest::Guest::bring_back) undoes.
const fn may_share(action: &Action<'_>) -> bool {
    match action {
        Action::Plug(_)
        | Action::Unplug(_)
        | Action::Eject(_)
        | Action::Resize(_)
        | Action::Online(_)
        | Action::Offline(_)
        | Action::Inject(_)
        | Action::Load(_)
        | Action::Lock(_)
        | Action::HugePages(_)
        | Action::Settle => true,
        Action::Set(parameters) => parameters.hwpoison_filter_dev_major.is_none(),
        Action::Write(_)
        | Action::Pin(_)
        | Action::Unpin(_)
        | Action::Poison(_)
        | Action::Fault(_)
        | Action::Reboot
        | Action::Kexec
        | Action::Crash => false,
    }
}

/// Whether all memory that the scenario leaves behind can be removed: it is in no kernel zone, and of few devices; and boot
/// memory was left alone.
fn can_be_undone(scenario: &Scenario, release: Release) -> bool {
    let Ok(mut model) = Prediction::new(scenario, release) else { return false };
    let boot = model.linux.memory.clone();
    for step in &scenario.steps {
        if step.expect == Some(Expect::Word(ExpectWord::Anything)) || model.apply(&step.action()).is_err() {
            return false;
        }
    }
    let movable = |index: &u64| {
        let block = &model.linux.memory.blocks()[index];
        !block.is_online() || block.zone() == Some(Zone::Movable)
    };
    let added = model.linux.memory.blocks().keys().filter(|index| !boot.blocks().contains_key(index));
    let as_booted = |index: &u64| {
        let parts = |memory: &dimmer_oracle::memory::Memory| {
            memory.blocks().get(index).map(|block| block.parts.clone())
        };
        parts(&boot) == parts(&model.linux.memory)
    };
    model.linux.dimms.len() <= FEW_DEVICES
        && added.into_iter().all(movable)
        && boot.blocks().keys().all(as_booted)
}

#[cfg(test)]
mod tests;
