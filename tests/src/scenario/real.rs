//! A scenario on a real machine with a real guest.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dimmer::ctl::client::{Method, segment};
use dimmer_agent::blocks::BlockList;
use dimmer_agent::protocol::{BlockResult, Parameter, ZoneKind};
use dimmer_agent::report::Layout;
use dimmer_images::Kernel;
use serde_json::{Value, json};

use super::requests::{RequestLog, wait_until_quiet};
use super::{
    Action, BlockSet, Effect, Guest, Inject, OnlineWord, OutcomeWord, Parameters, Plug, Resize, Scenario,
};
use crate::oracle::memory::Errno;
use crate::oracle::virtio_mem::Request;
use crate::vm::{Setup, TestVm, VmError};

/// Seconds that a change may take which is to end.
const PATIENCE: u32 = 240;
/// How long reports are waited for that are to come, and the time between two looks.
const REPORTS: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Where `memory-notifier-error-inject` takes its errors.
const ERRORS: &str = "/sys/kernel/debug/notifier-error-inject/memory/actions";

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
    /// `_OST` reports seen so far.
    reports: usize,
    /// virtio-mem requests seen so far.
    requests: RequestLog,
}

impl Real {
    /// Boots the scenario's machine.
    ///
    /// # Errors
    /// [`RealError::Vm`].
    pub fn boot(scenario: &Scenario, kernel: &Kernel) -> Result<Self, RealError> {
        let arguments = scenario.machine.arguments().join(" ");
        let vm = Setup::new(kernel).cmdline(&cmdline(&scenario.guest)).arguments(&arguments).boot()?;
        Ok(Self { vm, resets: 0, reports: 0, requests: RequestLog::default() })
    }

    /// The layout once it has settled, with the memory groups.
    ///
    /// # Errors
    /// [`RealError`].
    pub fn layout(&mut self) -> Result<Layout, RealError> {
        let mut layout = self.vm.settled()?;
        self.vm.guest().add_groups(&mut layout)?;
        Ok(layout)
    }

    /// What the drivers of the virtio-mem devices have asked for since this was last asked, by device.
    ///
    /// # Errors
    /// [`RealError::Rest`].
    pub fn new_requests(&mut self) -> Result<BTreeMap<String, Vec<Request>>, RealError> {
        Ok(self.requests.new_requests(&self.vm.rest)?)
    }

    /// Carries out one step; `predicted` says what is waited for.
    ///
    /// # Errors
    /// [`RealError`].
    pub fn apply(&mut self, action: &Action<'_>, predicted: &Effect) -> Result<Effect, RealError> {
        let mut effect = match action {
            Action::Plug(plug) => self.plug(plug)?,
            Action::Unplug(id) => self.unplug(id)?,
            Action::Resize(resize) => self.resize(resize, predicted)?,
            Action::Online(online) => {
                let zone = zone_kind(online.how);
                blocks(&self.vm.guest().online(&block_list(&online.blocks), zone)?)
            }
            Action::Offline(set) => blocks(&self.vm.guest().offline(&block_list(set))?),
            Action::Set(parameters) => self.set(parameters)?,
            Action::Inject(inject) => self.inject(inject)?,
            Action::Reboot => self.reboot()?,
        };
        effect.ost = self.new_reports(predicted.ost.len())?;
        effect.requests = self.new_requests()?;
        Ok(effect)
    }

    fn plug(&mut self, plug: &Plug) -> Result<Effect, RealError> {
        for id in plug.ids() {
            let mut body = json!({"id": id, "kind": "dimm", "node": plug.node});
            if let Some(size) = plug.size {
                body["size"] = json!(size.0);
            }
            if let Some(ranges) = &plug.ranges {
                body["ranges"] = ranges_json(ranges);
            }
            if plug.descending {
                body["order"] = json!("descending");
            }
            if plug.unaligned {
                body["unaligned"] = json!(true);
            }
            let path = format!("/memory-devices?wait={PATIENCE}");
            self.vm.rest.tell(Method::POST, &path, Some(&body))?;
        }
        Ok(Effect { outcome: Some(OutcomeWord::Done), ..Effect::default() })
    }

    fn unplug(&mut self, id: &str) -> Result<Effect, RealError> {
        let answer = self.vm.rest.remove_dimm(id)?;
        let outcome = match answer.status {
            200 => OutcomeWord::Done,
            409 => OutcomeWord::Refused,
            504 => OutcomeWord::InProgress,
            status => {
                let request = format!("DELETE /memory-devices/{id}");
                return Err(RealError::Answer { request, status, body: answer.body });
            }
        };
        Ok(Effect { outcome: Some(outcome), ..Effect::default() })
    }

    fn resize(&mut self, resize: &Resize, predicted: &Effect) -> Result<Effect, RealError> {
        if predicted.outcome == Some(OutcomeWord::Done) && predicted.open.is_empty() {
            self.vm.rest.resize(&resize.id, resize.to.0)?;
        } else {
            let path = format!("/memory-devices/{}", segment(&resize.id));
            self.vm.rest.tell(Method::PATCH, &path, Some(&json!({"requested_size": resize.to.0})))?;
            wait_until_quiet(&self.vm.rest, &resize.id)?;
            self.vm.settled()?;
        }
        let device = self.vm.rest.device(&resize.id)?;
        let plugged = device["plugged_size"].as_u64();
        let done = plugged == Some(resize.to.0);
        let outcome = if done { OutcomeWord::Done } else { OutcomeWord::InProgress };
        Ok(Effect { outcome: Some(outcome), plugged, ..Effect::default() })
    }

    fn set(&mut self, parameters: &Parameters) -> Result<Effect, RealError> {
        let yes_no = |on: bool| if on { "Y" } else { "N" }.to_owned();
        let settings = [
            (Parameter::OnlinePolicy, parameters.online_policy.map(|word| word.word().to_owned())),
            (Parameter::AutoMovableRatio, parameters.auto_movable_ratio.map(|ratio| ratio.to_string())),
            (Parameter::AutoMovableNumaAware, parameters.auto_movable_numa_aware.map(yes_no)),
            (Parameter::AutoOnlineBlocks, parameters.auto_online_blocks.map(|word| word.word().to_owned())),
        ];
        for (name, value) in settings {
            if let Some(value) = value {
                self.vm.guest().set(name, &value)?;
            }
        }
        if let Some(on) = parameters.acpi_eject {
            let value = u8::from(on);
            self.vm.shell(&format!("echo {value} > /sys/firmware/acpi/hotplug/memory/enabled"))?;
        }
        Ok(Effect::default())
    }

    fn inject(&mut self, inject: &Inject) -> Result<Effect, RealError> {
        self.vm.guest().load_module("memory-notifier-error-inject")?;
        for (action, on) in
            [("MEM_GOING_OFFLINE", inject.going_offline), ("MEM_GOING_ONLINE", inject.going_online)]
        {
            let errno = if on { -16 } else { 0 };
            self.vm.shell(&format!("echo {errno} > {ERRORS}/{action}/error"))?;
        }
        Ok(Effect::default())
    }

    fn reboot(&mut self) -> Result<Effect, RealError> {
        self.resets += 1;
        self.vm.rest.tell(Method::PUT, "/vm.reboot", None)?;
        self.vm.wait_for_resets(self.resets)?;
        self.vm.connect()?;
        Ok(Effect::default())
    }

    /// The `_OST` pairs since this was last asked; as many as `expected` are waited for, since the guest's
    /// last report comes after the change has ended.
    fn new_reports(&mut self, expected: usize) -> Result<Vec<(u32, u32)>, RealError> {
        let end = Instant::now() + REPORTS;
        loop {
            let reports = self.reports()?;
            if reports.len() >= self.reports + expected || Instant::now() >= end {
                let new = reports.iter().skip(self.reports).copied().collect();
                self.reports = reports.len();
                return Ok(new);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Takes all `_OST` pairs and virtio-mem requests so far as seen.
    ///
    /// # Errors
    /// [`RealError`].
    pub fn forget(&mut self) -> Result<(), RealError> {
        self.reports = self.reports()?.len();
        self.new_requests().map(drop)
    }

    /// All `_OST` pairs so far.
    fn reports(&self) -> Result<Vec<(u32, u32)>, RealError> {
        let events = self.vm.rest.events()?;
        let number = |event: &Value, key: &str| {
            event[key].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(u32::MAX)
        };
        let reports = events.iter().filter(|event| event["event"] == "ost");
        Ok(reports.map(|event| (number(event, "source"), number(event, "status"))).collect())
    }
}

/// The kernel parameters of a guest.
fn cmdline(guest: &Guest) -> String {
    let yes_no = |on: bool| if on { "Y" } else { "N" };
    let mut words = vec![
        format!("memhp_default_state={}", guest.auto_online_blocks.word()),
        format!("memory_hotplug.online_policy={}", guest.online_policy.word()),
        format!("memory_hotplug.auto_movable_ratio={}", guest.auto_movable_ratio),
        format!("memory_hotplug.auto_movable_numa_aware={}", yes_no(guest.auto_movable_numa_aware)),
    ];
    if guest.memmap_on_memory {
        words.push("memory_hotplug.memmap_on_memory=Y".to_owned());
    }
    if guest.movable_node {
        words.push("movable_node".to_owned());
    }
    words.join(" ")
}

/// The ranges of a request's body.
fn ranges_json(text: &str) -> Value {
    let ranges = text.parse::<dimmer::cli::RangesArg>().map(|dimmer::cli::RangesArg(ranges)| ranges);
    serde_json::to_value(ranges.unwrap_or_default()).unwrap_or_default()
}

fn block_list(blocks: &BlockSet) -> BlockList {
    blocks.to_string().parse().expect("both write block numbers the same way")
}

const fn zone_kind(how: OnlineWord) -> Option<ZoneKind> {
    match how {
        OnlineWord::Online | OnlineWord::Offline => None,
        OnlineWord::OnlineKernel => Some(ZoneKind::Kernel),
        OnlineWord::OnlineMovable => Some(ZoneKind::Movable),
    }
}

/// What became of each block.
fn blocks(results: &[BlockResult]) -> Effect {
    let refused: Vec<_> = results
        .iter()
        .filter_map(|result| Some((result.index, Errno::named(result.error.as_deref()?))))
        .collect();
    let outcome = match refused.len() {
        0 => OutcomeWord::Done,
        all if all == results.len() => OutcomeWord::Refused,
        _ => OutcomeWord::Partial,
    };
    Effect { outcome: Some(outcome), refused, ..Effect::default() }
}
