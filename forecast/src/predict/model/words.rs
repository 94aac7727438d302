//! What the words of a scenario mean to the model.

use dimmer_oracle::boot::movable::Core;
use dimmer_oracle::linux::Settings;
use dimmer_oracle::policy::{OnlinePolicy, OnlineType, Policy};
use dimmer_oracle::release::Release;

use crate::scenario::{Amount, Guest, MemmapOnMemory, OnlineWord, PolicyWord};

pub(super) fn policy(guest: &Guest) -> Policy {
    Policy {
        policy: online_policy(guest.policy()),
        ratio: guest.auto_movable_ratio,
        numa_aware: guest.auto_movable_numa_aware,
        movable_node: guest.movable_node,
    }
}

pub(super) fn core(guest: &Guest) -> Core {
    let amount = |given: &Option<Amount>| given.as_ref().map(Amount::amount);
    Core { kernel: amount(&guest.kernelcore), movable: amount(&guest.movablecore) }
}

pub(super) fn settings(guest: &Guest, release: Release) -> Settings {
    let huge = guest.hugepages.map_or(0, |pages| pages.size.0.saturating_mul(pages.count));
    Settings {
        auto_online: online_type(guest.auto_online(by_debians_kernel(release))),
        memmap_on_memory: match guest.memmap_on_memory {
            MemmapOnMemory::Off => false,
            MemmapOnMemory::On => true,
            MemmapOnMemory::Force => release.can_force_memmap_on_memory(),
        },
        eject_enabled: true,
        kaslr: guest.kaslr,
        set_aside: huge.saturating_add(guest.crashkernel.map_or(0, |size| size.0)),
    }
}

/// What Debian's kernels do with blocks as they come without a word: 6.12 and later ones put them online
/// (`CONFIG_MHP_DEFAULT_ONLINE_TYPE_ONLINE_AUTO`), 6.1 and 5.10 do not (`CONFIG_MEMORY_HOTPLUG_DEFAULT_ONLINE` is not set).
fn by_debians_kernel(release: Release) -> OnlineWord {
    if release >= Release::new(6, 12) { OnlineWord::Online } else { OnlineWord::Offline }
}

pub(super) const fn online_policy(word: PolicyWord) -> OnlinePolicy {
    match word {
        PolicyWord::ContigZones => OnlinePolicy::ContigZones,
        PolicyWord::AutoMovable => OnlinePolicy::AutoMovable,
    }
}

pub(super) const fn online_type(word: OnlineWord) -> Option<OnlineType> {
    match word {
        OnlineWord::Offline => None,
        OnlineWord::Online => Some(OnlineType::Policy),
        OnlineWord::OnlineKernel => Some(OnlineType::Kernel),
        OnlineWord::OnlineMovable => Some(OnlineType::Movable),
    }
}
