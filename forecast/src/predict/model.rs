//! A scenario on the model: what the oracle says about each step.

use std::collections::BTreeMap;

use dimmer_oracle::chance::Chance;
use dimmer_oracle::linux::Linux;
use dimmer_oracle::memory::Errno;
use dimmer_oracle::mistake::Mistake;
use dimmer_oracle::policy::OnlineType;
use dimmer_oracle::release::Release;
use dimmer_oracle::rule::Rule;
use dimmer_oracle::virtio_mem::{Request, VirtioMem};

use crate::scenario::{Action, Addresses, Effect, Guest, OutcomeWord, Parameters, Scenario};

mod command;
mod dax;
mod dimms;
mod faults;
mod follow;
mod kernels;
mod pages;
mod virtio_mem;
mod words;

use dimms::Slot;
pub use follow::Seen;
use kernels::User;
use words::{core, online_policy, online_type, policy, settings};

/// A machine with its guest, as the model has them.
#[derive(Debug, Clone)]
pub struct Prediction {
    /// The guest.
    pub linux: Linux,
    addresses: Addresses,
    /// What the guest is set up with whenever it boots.
    guest: Guest,
    /// The ACPI memory devices, by their slots.
    slots: BTreeMap<u32, Slot>,
    /// The pages that were broken in each block, of which each is another one.
    poisoned: BTreeMap<u64, u64>,
    /// Bytes that each step keeps in use, until another of its kind or a boot.
    used: BTreeMap<User, u64>,
    /// Whether a crash kernel runs, of whose memory nothing is known.
    crashed: bool,
}

impl Prediction {
    /// The guest right after it has booted.
    ///
    /// # Errors
    /// What is wrong with the scenario's machine, or that the model does not know the release.
    pub fn new(scenario: &Scenario, release: Release) -> Result<Self, String> {
        Self::with_mistake(scenario, release, None)
    }

    /// The same, with a rule planted wrong.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_mistake(
        scenario: &Scenario,
        release: Release,
        mistake: Option<Mistake>,
    ) -> Result<Self, String> {
        if release < Release::FIRST {
            return Err(format!("the oracle knows Linux from {} on, not {release}", Release::FIRST));
        }
        let mut addresses = Addresses::of(scenario)?;
        if mistake == Some(Mistake::DimmsLieClose) {
            addresses.forget_alignment();
        }
        let mut slots = BTreeMap::new();
        for (slot, dimm) in (0..).zip(&addresses.machine.clone().dimms) {
            let ranges = addresses.place(dimm)?;
            slots.insert(slot, Slot { id: dimm.id.clone(), node: dimm.node, ranges, seen: true });
        }
        let guest = scenario.guest.clone();
        let memory = addresses.boot.boot_with(release, policy(&guest), core(&guest));
        let mut linux = Linux::new(release, settings(&guest, release), memory);
        linux.memory.mistake = mistake;
        let (poisoned, used) = (BTreeMap::new(), BTreeMap::new());
        let mut new = Self { linux, addresses, guest, slots, poisoned, used, crashed: false };
        let first = new.addresses.virtio_mem.iter().map(|(id, _, size)| (id.clone(), *size)).collect();
        new.boot(first);
        Ok(new)
    }

    /// The guest boots: it finds the DIMMs first, then the virtio-mem devices, whose requested sizes are
    /// given.
    fn boot(&mut self, requested: Vec<(String, u64)>) {
        let before = &self.linux;
        let keeps = before.memory.makes(Mistake::ResetKeepsParameters);
        let policy = if keeps { before.memory.policy } else { policy(&self.guest) };
        let settings = if keeps { before.settings } else { settings(&self.guest, before.release) };
        let mut memory = self.addresses.boot.boot_with(self.linux.release, policy, core(&self.guest));
        memory.mistake = before.memory.mistake;
        memory.met.add_all(before.memory.met);
        if before.memory.policy != memory.policy || before.settings != settings {
            memory.meet(Rule::ResetForgets);
        }
        memory.follow(&before.memory);
        self.used.clear();
        let faults = std::mem::take(&mut self.linux.faults);
        self.linux = Linux::new(self.linux.release, settings, memory);
        self.linux.faults = faults;
        let seen: Vec<u32> =
            self.slots.iter().filter(|(_, slot)| slot.seen).map(|(number, _)| *number).collect();
        self.linux.boot_limit = self.guest.mem.map(|size| size.0);
        for number in seen {
            self.enumerate(number);
        }
        self.linux.boot_limit = None;
        self.linux.probe_soft_reserved(&self.addresses.soft_reserved);
        if self.guest.distribution.is_some() {
            self.udev_loads_drivers();
        }
        self.addresses.reset_places();
        for (id, spec) in self.addresses.virtio_mem_devices() {
            let wanted = requested.iter().find(|(other, _)| *other == id).map_or(0, |(_, size)| *size);
            self.probe(&id, spec, wanted);
        }
    }

    /// The names of the ACPI memory devices that are plugged, in the order of their slots.
    pub fn dimms(&self) -> impl Iterator<Item = &str> {
        self.slots.values().map(|slot| slot.id.as_str())
    }

    /// Carries out one step, as if all kernel memory could be moved; [`Effect::open`] names the blocks for
    /// which Linux may do otherwise.
    ///
    /// # Errors
    /// When the step names something that is not there, or needs addresses that are not free.
    pub fn apply(&mut self, action: &Action<'_>) -> Result<Effect, String> {
        self.linux.follow_requests(|_| None);
        self.carry_out(action, Chance::default())
    }

    /// Carries out one step under assumptions about kernel memory.
    fn carry_out(&mut self, action: &Action<'_>, chance: Chance) -> Result<Effect, String> {
        self.check_that_it_runs(action)?;
        self.linux.chance = chance;
        self.linux.retry_virtio_mem();
        let mut effect = self.act(action)?;
        self.linux.retry_virtio_mem();
        self.linux.memory.meet_shown();
        let chance = std::mem::take(&mut self.linux.chance);
        effect.open = chance.open() | chance.unpaid();
        effect.unpaid = chance.unpaid().clone();
        effect.requests = self.requests();
        effect.stuck = self.linux.stuck.as_ref().map(|stuck| stuck.block);
        effect.hardware_corrupted = self.hardware_corrupted();
        effect.may_lose_the_guest = self.linux.exhausted;
        effect.occasions = self.linux.faults.occasions();
        Ok(effect)
    }

    /// What the drivers of the virtio-mem devices asked for in the last step; after the boot, what they asked for
    /// since.
    pub fn requests(&self) -> BTreeMap<String, Vec<Request>> {
        let devices = self.linux.virtio_mem.iter();
        let devices = devices.map(|(id, device)| (id.clone(), device.requests.clone()));
        devices.filter(|(_, requests)| !requests.is_empty()).collect()
    }

    fn act(&mut self, action: &Action<'_>) -> Result<Effect, String> {
        match action {
            Action::Plug(plug) => self.plug(plug),
            Action::Unplug(id) => self.unplug(id),
            Action::Eject(id) => self.eject(id),
            Action::Resize(resize) => self.resize(resize),
            Action::Add(add) => self.add(add),
            Action::Remove(id) => self.remove(id),
            Action::Dax(dax) => self.dax(dax),
            Action::Online(online) => {
                let how = online_type(online.how).ok_or("online: `how` must put blocks online")?;
                Ok(each(&online.blocks.0, |index| self.online(index, how)))
            }
            Action::Offline(blocks) => Ok(each(&blocks.0, |index| self.linux.offline(index))),
            Action::Write(write) => Ok(self.write(write)),
            Action::Pin(blocks) => self.pin(blocks),
            Action::Unpin(blocks) => self.unpin(blocks),
            Action::Poison(poison) => self.poison(poison),
            Action::Fault(faults) => self.fault(faults),
            Action::Settle => self.settle(),
            Action::Set(parameters) => {
                self.set(parameters);
                Ok(Effect::default())
            }
            Action::Inject(inject) => {
                self.linux.injected.offline = inject.going_offline;
                self.linux.injected.online = inject.going_online;
                Ok(Effect::default())
            }
            Action::Load(load) => Ok(self.load(*load)),
            Action::Lock(size) => Ok(self.lock(*size)),
            Action::HugePages(pool) => self.huge_pages(pool),
            Action::Reboot => {
                self.crashed = false;
                self.boot(self.requested());
                Ok(Effect::default())
            }
            Action::Kexec => Ok(self.kexec()),
            Action::Crash => self.crash(),
            Action::Run(run) => self.command(run),
            Action::Lsmem => Ok(Effect::default()),
            Action::Udev(word) => Ok(self.udev(*word)),
        }
    }

    /// What each virtio-mem device is to reach.
    fn requested(&self) -> Vec<(String, u64)> {
        self.linux.virtio_mem.iter().map(|(id, device)| (id.clone(), device.requested)).collect()
    }

    /// What the machine's virtio-mem device has plugged, when there is one and no more.
    pub fn plugged_by_the_only_device(&self) -> Option<u64> {
        let mut devices = self.linux.virtio_mem.values();
        devices.next().filter(|_| devices.next().is_none()).map(VirtioMem::plugged)
    }

    /// The DIMM that has some of these bytes.
    pub fn dimm_at(&self, bytes: &std::ops::Range<u64>) -> Option<String> {
        let has = |range: &std::ops::Range<u64>| range.start < bytes.end && bytes.start < range.end;
        self.slots.values().find(|slot| slot.ranges.iter().any(has)).map(|slot| slot.id.clone())
    }

    fn online(&mut self, index: u64, how: OnlineType) -> Result<(), Errno> {
        if !self.linux.memory.blocks().contains_key(&index) {
            return Err(Errno::EINVAL);
        }
        self.linux.online(index, how).map(|_| ())
    }

    fn set(&mut self, parameters: &Parameters) {
        let policy = &mut self.linux.memory.policy;
        if let Some(word) = parameters.online_policy.filter(|_| self.linux.release.has_groups()) {
            policy.policy = online_policy(word);
        }
        policy.ratio = parameters.auto_movable_ratio.unwrap_or(policy.ratio);
        policy.numa_aware = parameters.auto_movable_numa_aware.unwrap_or(policy.numa_aware);
        let settings = &mut self.linux.settings;
        if let Some(word) = parameters.auto_online_blocks {
            settings.auto_online = online_type(word);
        }
        self.linux.hwpoison_filter |= parameters.hwpoison_filter_dev_major.is_some();
        settings.eject_enabled = parameters.acpi_eject.unwrap_or(settings.eject_enabled);
    }
}

/// Does something to each block; those that refuse stand in the effect.
fn each(blocks: &std::collections::BTreeSet<u64>, mut act: impl FnMut(u64) -> Result<(), Errno>) -> Effect {
    let refused =
        blocks.iter().filter_map(|index| act(*index).err().map(|errno| (*index, errno))).collect::<Vec<_>>();
    let outcome = match refused.len() {
        0 => OutcomeWord::Done,
        all if all == blocks.len() => OutcomeWord::Refused,
        _ => OutcomeWord::Partial,
    };
    Effect { outcome: Some(outcome), refused, ..Effect::default() }
}
