//! Steps with memory blocks and parameters, in a real guest.

use dimmer_agent::blocks::BlockList;
use dimmer_agent::protocol::{BlockResult, Parameter, Status, ZoneKind};
use dimmer_oracle::memory::Errno;
use dimmer_oracle::release::Release;

use super::{Real, RealError};
use crate::scenario::{BlockSet, Blocks, Effect, Inject, OnlineWord, OutcomeWord, Parameters, Write};

/// Where `memory-notifier-error-inject` takes its errors.
const ERRORS: &str = "/sys/kernel/debug/notifier-error-inject/memory/actions";
/// Where Linux has its memory blocks.
const BLOCKS: &str = "/sys/devices/system/memory";
/// Seconds after which a write is interrupted that does not end by itself.
const INTERRUPT: u32 = 1;
/// What the C library calls the errors of writes.
const ERRNOS: [(&str, Errno); 6] = [
    ("Invalid argument", Errno::EINVAL),
    ("Device or resource busy", Errno::EBUSY),
    ("Interrupted system call", Errno::EINTR),
    ("Memory page has hardware error", Errno::EHWPOISON),
    ("No such device or address", Errno::ENXIO),
    ("Input/output error", Errno::EIO),
];

impl Real {
    pub(super) fn online(&mut self, online: &Blocks) -> Result<Effect, RealError> {
        Ok(blocks(&self.vm.guest().online(&block_list(&online.blocks), zone_kind(online.how))?))
    }

    /// Takes blocks offline, in ascending order; a write that is not to end by itself is interrupted.
    pub(super) fn offline(&mut self, set: &BlockSet, predicted: &Effect) -> Result<Effect, RealError> {
        let never_ends = |index: &u64| predicted.refused.contains(&(*index, Errno::EINTR));
        if !set.0.iter().any(never_ends) {
            return Ok(blocks(&self.vm.guest().offline(&block_list(set))?));
        }
        let mut refused = Vec::new();
        for index in &set.0 {
            if never_ends(index) {
                refused.extend(self.offline_for_a_while(*index)?.map(|errno| (*index, errno)));
            } else {
                refused.extend(blocks(&self.vm.guest().offline(&BlockList::one(*index))?).refused);
            }
        }
        Ok(outcome(set.0.len(), refused))
    }

    /// Writes `offline` to the state of a block, and interrupts that when it takes too long.
    fn offline_for_a_while(&mut self, index: u64) -> Result<Option<Errno>, RealError> {
        let write = format!("echo offline > {BLOCKS}/memory{index}/state");
        let command = ["timeout", "-s", "KILL", &INTERRUPT.to_string(), "sh", "-c", &write];
        let executed = self.vm.guest().exec(&command, b"")?;
        Ok(match executed.status {
            Status::Code(0) => None,
            Status::Signal(_) => Some(Errno::EINTR),
            Status::Code(_) => Some(errno(&executed.stderr.0)),
        })
    }

    pub(super) fn write(&mut self, write: &Write) -> Result<Effect, RealError> {
        let file = format!("{BLOCKS}/memory{}/{}", write.block, write.file.name());
        let refused = self.write_file(&file, &write.word)?;
        Ok(outcome(1, refused.map(|errno| (write.block, errno)).into_iter().collect()))
    }

    /// Writes a word to a file; returns what that fails with.
    pub(super) fn write_file(&mut self, file: &str, word: &str) -> Result<Option<Errno>, RealError> {
        let executed = self.vm.guest().exec(&["sh", "-c", "cat > \"$0\"", file], word.as_bytes())?;
        let failed = executed.status != Status::Code(0);
        Ok(failed.then(|| errno(&executed.stderr.0)))
    }

    pub(super) fn set(&mut self, parameters: &Parameters) -> Result<Effect, RealError> {
        let yes_no = |on: bool| if on { "Y" } else { "N" }.to_owned();
        let policy = [
            (Parameter::OnlinePolicy, parameters.online_policy.map(|word| word.word().to_owned())),
            (Parameter::AutoMovableRatio, parameters.auto_movable_ratio.map(|ratio| ratio.to_string())),
            (Parameter::AutoMovableNumaAware, parameters.auto_movable_numa_aware.map(yes_no)),
        ];
        let auto_online = parameters.auto_online_blocks.map(|word| word.word().to_owned());
        let release: Option<Release> = self.vm.guest().kernel().parse().ok();
        // A kernel without the policy has no such parameters either: it does as it does.
        let has_policy = release.is_none_or(Release::has_groups);
        let policy = policy.into_iter().filter(|_| has_policy);
        for (name, value) in policy.chain([(Parameter::AutoOnlineBlocks, auto_online)]) {
            if let Some(value) = value {
                self.vm.guest().set(name, &value)?;
            }
        }
        if let Some(major) = parameters.hwpoison_filter_dev_major {
            self.vm.guest().load_module("hwpoison-inject")?;
            let filter = "/sys/kernel/debug/hwpoison/corrupt-filter";
            self.vm.shell(&format!("echo {major} > {filter}-dev-major; echo 1 > {filter}-enable"))?;
        }
        if let Some(on) = parameters.acpi_eject {
            let value = u8::from(on);
            self.vm.shell(&format!("echo {value} > /sys/firmware/acpi/hotplug/memory/enabled"))?;
        }
        Ok(Effect::default())
    }

    pub(super) fn inject(&mut self, inject: &Inject) -> Result<Effect, RealError> {
        self.vm.guest().load_module("memory-notifier-error-inject")?;
        let errno = |on: bool| if on { -16 } else { 0 };
        let (offline, online) = (errno(inject.going_offline), errno(inject.going_online));
        let write = |errno: i32, action: &str| format!("echo {errno} > {ERRORS}/{action}/error");
        let (offline, online) = (write(offline, "MEM_GOING_OFFLINE"), write(online, "MEM_GOING_ONLINE"));
        self.vm.shell(&format!("{offline} && {online}"))?;
        Ok(Effect::default())
    }
}

/// The error that a command ended with, by what it said.
fn errno(said: &[u8]) -> Errno {
    let said = String::from_utf8_lossy(said);
    ERRNOS.iter().find(|(text, _)| said.contains(text)).map_or(Errno::Other, |(_, errno)| *errno)
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
    let failed = |result: &BlockResult| Some((result.index, Errno::named(result.error.as_deref()?)));
    outcome(results.len(), results.iter().filter_map(failed).collect())
}

/// What became of that many blocks, when these failed.
pub(super) fn outcome(all: usize, refused: Vec<(u64, Errno)>) -> Effect {
    let outcome = match refused.len() {
        0 => OutcomeWord::Done,
        failed if failed == all => OutcomeWord::Refused,
        _ => OutcomeWord::Partial,
    };
    Effect { outcome: Some(outcome), refused, ..Effect::default() }
}
