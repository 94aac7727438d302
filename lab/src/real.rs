//! A scenario on a real machine with a real guest.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dimmer_agent::report::BlockState;
use dimmer_images::Kernel;
use serde_json::Value;

use crate::distribution;
use crate::layout::Layout;
use crate::scenario::{Action, Effect, Requests, Scenario};
use crate::vm::{TestVm, VmError};
use requests::RequestLog;

mod command;
mod dax;
mod devices;
mod elsewhere;
mod guest;
mod kernels;
mod pages;
mod requests;
mod said;
mod virtio_mem;
mod warm;

pub use warm::Warm;

/// How long something is waited for that is to come on its own, and the time between two looks.
const SOON: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A scenario could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum RealError {
    /// The machine.
    #[error(transparent)]
    Vm(#[from] VmError),
    /// Its API.
    #[error(transparent)]
    Rest(#[from] crate::rest::RestError),
    /// The guest's agent.
    #[error(transparent)]
    Guest(#[from] crate::guest::GuestError),
    /// The API answered something unexpected.
    #[error("{request}: status {status}: {body}")]
    Answer {
        /// Method and path.
        request: String,
        /// The HTTP status.
        status: u16,
        /// The body.
        body: Value,
    },
}

/// A machine that runs a scenario.
#[derive(Debug)]
pub struct Real {
    /// The machine.
    pub vm: TestVm,
    resets: u64,
    /// The last event that was looked at.
    last_event: u64,
    /// virtio-mem requests seen so far.
    requests: RequestLog,
    /// The next record of the kernel's log to look at.
    log: u64,
    /// The block that an ejection waits for, which never ends by itself.
    stuck: Option<u64>,
    /// The address of the page that is pinned in each block.
    pinned: BTreeMap<u64, u64>,
    /// The pages that were broken in each block.
    poisoned: BTreeMap<u64, u64>,
    block_size: u64,
    /// The command line of a kernel that the guest starts itself.
    cmdline: String,
    /// Whether the guest has a distribution.
    has_distribution: bool,
    /// How the machine has come to be where it is, if it is to go on elsewhere.
    restores: Option<elsewhere::Journey>,
}

impl Real {
    /// Boots the scenario's machine.
    ///
    /// # Errors
    /// [`RealError::Vm`].
    pub fn boot(scenario: &Scenario, kernel: &Kernel) -> Result<Self, RealError> {
        let setup = kernels::setup(scenario, kernel)?;
        let mut vm = setup.start()?;
        match scenario.guest.distribution {
            None => vm.connect()?,
            Some(_) => distribution::await_boot(&mut vm)?,
        }
        let block_size = vm.guest().layout()?.block_size;
        Ok(Self::new(vm, scenario, block_size))
    }

    /// A machine that is as right after its boot.
    fn new(vm: TestVm, scenario: &Scenario, block_size: u64) -> Self {
        Self {
            vm,
            resets: 0,
            last_event: 0,
            requests: RequestLog::default(),
            log: 0,
            stuck: None,
            pinned: BTreeMap::new(),
            poisoned: BTreeMap::new(),
            block_size,
            cmdline: kernels::cmdline(scenario),
            has_distribution: scenario.guest.distribution.is_some(),
            restores: None,
        }
    }

    /// Carries out one step; `predicted` says what is waited for.
    ///
    /// # Errors
    /// [`RealError`].
    pub fn apply(&mut self, action: &Action<'_>, predicted: &Effect) -> Result<Effect, RealError> {
        let mut effect = match action {
            Action::Plug(plug) => self.plug(plug, predicted)?,
            Action::Unplug(id) => self.unplug(id, predicted)?,
            Action::Eject(id) => self.eject(id, predicted)?,
            Action::Resize(resize) => self.resize(resize, predicted)?,
            Action::Add(add) => self.add(add, predicted)?,
            Action::Remove(id) => self.remove(id)?,
            Action::Dax(dax) => self.dax(dax)?,
            Action::Online(online) => self.online(online)?,
            Action::Offline(set) => self.offline(set, predicted)?,
            Action::Write(write) => self.write(write)?,
            Action::Pin(set) => self.pin(set)?,
            Action::Unpin(set) => self.unpin(set)?,
            Action::Poison(poison) => self.poison(poison)?,
            Action::Set(parameters) => self.set(parameters)?,
            Action::Load(load) => self.load(*load)?,
            Action::Lock(size) => self.lock(*size)?,
            Action::HugePages(pool) => self.huge_pages(pool)?,
            Action::Inject(inject) => self.inject(inject)?,
            Action::Fault(faults) => self.fault(faults)?,
            Action::Settle => self.settle()?,
            Action::Reboot => self.reboot()?,
            Action::Kexec => self.kexec()?,
            Action::Crash => self.crash()?,
            Action::Run(run) => self.run(run)?,
            Action::Lsmem => self.lsmem()?,
            Action::Udev(word) => self.udev(*word)?,
        };
        self.await_udev()?;
        effect.ost = self.new_reports(predicted.ost.len())?;
        effect.requests = self.requests_of(predicted)?;
        effect.hardware_corrupted = self.hardware_corrupted(predicted.hardware_corrupted)?;
        if !predicted.occasions.is_empty() {
            effect.occasions = self.vm.rest.fault_occasions()?;
        }
        self.stuck = predicted.stuck;
        self.go_elsewhere()?;
        Ok(effect)
    }

    /// The guest's layout with the memory groups: once it has settled, or once the ejection that waits has come to its block.
    ///
    /// # Errors
    /// [`RealError`].
    pub fn layout(&mut self) -> Result<Layout, RealError> {
        let mut layout = match self.stuck {
            None => self.vm.settled()?,
            Some(block) => self.stuck_at(block)?,
        };
        self.vm.guest().add_groups(&mut layout)?;
        Ok(layout)
    }

    /// The layout once the block is on its way offline: what came before it in the ejection stands still from then on.
    fn stuck_at(&mut self, stuck: u64) -> Result<Layout, RealError> {
        let end = Instant::now() + SOON;
        let is_stuck = |layout: &Layout| {
            let block = layout.blocks.iter().find(|block| block.index == stuck);
            block.is_some_and(|block| block.state == BlockState::GoingOffline)
        };
        while !is_stuck(&self.vm.guest().layout()?) && Instant::now() < end {
            std::thread::sleep(LOOK_AGAIN);
        }
        // A look is no single moment: the one that found the block may have begun before the blocks ahead of it were done.
        Ok(self.vm.guest().layout()?)
    }

    /// What the drivers ask for in this step. They work on behind its end, be it that the guest has just booted or that a
    /// block went online; so as many requests as are predicted are waited for, where that many must come.
    fn requests_of(&mut self, predicted: &Effect) -> Result<Requests, RealError> {
        let wanted = if predicted.open.is_empty() { &predicted.requests } else { &Requests::new() };
        let mut requests = self.new_requests()?;
        let all_there = |requests: &Requests| {
            wanted.iter().all(|(id, all)| requests.get(id).is_some_and(|seen| seen.len() >= all.len()))
        };
        let mut last = Instant::now();
        while !all_there(&requests) && last.elapsed() < SOON {
            std::thread::sleep(LOOK_AGAIN);
            let new = self.new_requests()?;
            if !new.is_empty() {
                last = Instant::now();
            }
            add(&mut requests, new);
        }
        Ok(requests)
    }
}

/// Adds later requests to earlier ones.
fn add(all: &mut Requests, more: Requests) {
    for (id, requests) in more {
        all.entry(id).or_default().extend(requests);
    }
}
