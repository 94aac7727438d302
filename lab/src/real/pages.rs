//! Steps with single pages, in a real guest.

use std::time::Instant;

use dimmer::ctl::client::Method;
use dimmer_agent::blocks::BlockList;
use serde_json::json;

use super::guest::outcome;
use super::{LOOK_AGAIN, Real, RealError, SOON};
use crate::scenario::{BlockSet, Effect, PageWord, Poison, PoisonWord, broken_page};

/// Every how many seconds the kernel looks for errors that its processors raise no exception for: those that nobody has met, on
/// AMD's. It would be 300. Linux starts anew to look when this changes, and with some processors forgets what it has not seen yet.
const CHECK_INTERVAL: (&str, &str) = ("/sys/devices/system/machinecheck/machinecheck0/check_interval", "1");
/// How often the first processor has looked.
const LOOKS: &str = "awk '$1 == \"MCP:\" { print $2 }' /proc/interrupts";

impl Real {
    pub(super) fn pin(&mut self, blocks: &BlockSet) -> Result<Effect, RealError> {
        let mut pinned = Vec::new();
        for index in &blocks.0 {
            let page = self.vm.guest().pin(&BlockList::one(*index))?;
            self.pinned.insert(*index, page.address);
            pinned.push(page.address);
        }
        Ok(Effect { pinned, ..Effect::default() })
    }

    pub(super) fn unpin(&mut self, blocks: &BlockSet) -> Result<Effect, RealError> {
        for address in blocks.0.iter().filter_map(|index| self.pinned.remove(index)) {
            self.vm.guest().unpin(address)?;
        }
        Ok(Effect::default())
    }

    pub(super) fn poison(&mut self, poison: &Poison) -> Result<Effect, RealError> {
        let address = self.page(poison)?;
        let file = |how: &str| format!("/sys/devices/system/memory/{how}_offline_page");
        let refused = match poison.by {
            PoisonWord::HardOffline => self.write_file(&file("hard"), &format!("{address:#x}"))?,
            PoisonWord::SoftOffline => self.write_file(&file("soft"), &format!("{address:#x}"))?,
            PoisonWord::MachineCheck => {
                self.machine_check(address)?;
                None
            }
        };
        Ok(outcome(1, refused.map(|errno| (poison.block, errno)).into_iter().collect()))
    }

    /// The address of the page that is to be broken.
    fn page(&mut self, poison: &Poison) -> Result<u64, RealError> {
        let number = self.poisoned.entry(poison.block).or_default();
        let free = poison.block * self.block_size + broken_page(*number);
        *number += 1;
        Ok(match poison.page {
            PageWord::Free => free,
            PageWord::Pinned => self.pinned.get(&poison.block).copied().unwrap_or(free),
        })
    }

    /// Has the machine report an error, once the guest has read the one before, and waits until it has read this one.
    fn machine_check(&mut self, address: u64) -> Result<(), RealError> {
        let (file, seconds) = CHECK_INTERVAL;
        self.write_file(file, seconds)?;
        self.report_error(address)?;
        if self.vm.shell("grep -m 1 vendor_id /proc/cpuinfo")?.contains("AuthenticAMD") {
            let (before, end) = (self.vm.shell(LOOKS)?, Instant::now() + SOON);
            while self.vm.shell(LOOKS)? == before && Instant::now() < end {
                std::thread::sleep(LOOK_AGAIN);
            }
        }
        Ok(())
    }

    fn report_error(&self, address: u64) -> Result<(), RealError> {
        let body = json!({"address": address, "severity": "ao"});
        let end = Instant::now() + SOON;
        loop {
            let answer = self.vm.rest.ask(Method::POST, "/vm.inject-mce", Some(&body))?;
            if answer.status == 204 {
                return Ok(());
            }
            if Instant::now() >= end {
                let request = "POST /vm.inject-mce".to_owned();
                return Err(RealError::Answer { request, status: answer.status, body: answer.body });
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// What the kernel takes for broken, when that is asked for; a machine check is met a little later.
    pub(super) fn hardware_corrupted(&mut self, predicted: Option<u64>) -> Result<Option<u64>, RealError> {
        if predicted.is_none() {
            return Ok(None);
        }
        let end = Instant::now() + SOON;
        loop {
            let line = self.vm.shell("grep HardwareCorrupted /proc/meminfo || true")?;
            let kilobytes = line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
            let bytes = kilobytes.map(|kilobytes| kilobytes << 10);
            if bytes == predicted || Instant::now() >= end {
                return Ok(bytes);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}
