//! What the oracle says about steps with dax devices.

use dimmer_oracle::linux::DaxDriver;

use super::Prediction;
use crate::scenario::{Dax, DaxState, DriverWord, Effect, OutcomeWord, Resource};

/// What `kmem` calls memory that it adds (`kmem_name`, drivers/dax/kmem.c).
const KMEM_MEMORY: &str = "System RAM (kmem)";

impl Prediction {
    pub(super) fn dax(&mut self, dax: &Dax) -> Result<Effect, String> {
        let Dax { id, driver, memmap_on_memory } = dax;
        if !self.linux.dax.contains_key(id) {
            let all: Vec<&str> = self.linux.dax.keys().map(String::as_str).collect();
            let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
            return Err(format!("dax: there is no dax device {id:?}; there is {all}"));
        }
        if memmap_on_memory.is_some() && !self.linux.release.has_memmap_on_memory_of_dax() {
            return Err("dax: releases have `memmap_on_memory` of dax devices since 6.9".to_owned());
        }
        let bound = self.linux.bind_dax(id, oracle_driver(*driver), *memmap_on_memory);
        let outcome = if bound.is_ok() { OutcomeWord::Done } else { OutcomeWord::Refused };
        Ok(Effect { outcome: Some(outcome), dax: Some(self.dax_state(id)), ..Effect::default() })
    }

    /// The device `id`, which is there, and how it is named in /proc/iomem: by `kmem` as far as it fills blocks
    /// (`dev_dax_kmem_probe`), by `device_dax` as a whole (`dev_dax_probe`).
    fn dax_state(&self, id: &str) -> DaxState {
        let device = &self.linux.dax[id];
        let (size, blocks) = (self.linux.memory.block_size(), device.blocks());
        let names: &[&str] = match device.driver {
            Some(DaxDriver::DeviceDax) => &[id],
            _ if blocks.is_empty() => &[],
            _ => &[id, KMEM_MEMORY],
        };
        let range = match device.driver {
            Some(DaxDriver::DeviceDax) => device.range.clone(),
            _ => blocks.start * size..blocks.end * size,
        };
        let resource = |name: &&str| Resource {
            range: range.start..=range.end.saturating_sub(1),
            name: (*name).to_owned(),
        };
        let driver = device.driver.map_or(DriverWord::None, |driver| match driver {
            DaxDriver::DeviceDax => DriverWord::DeviceDax,
            DaxDriver::Kmem => DriverWord::Kmem,
        });
        DaxState { driver, resources: names.iter().map(resource).collect() }
    }
}

const fn oracle_driver(word: DriverWord) -> Option<DaxDriver> {
    match word {
        DriverWord::None => None,
        DriverWord::DeviceDax => Some(DaxDriver::DeviceDax),
        DriverWord::Kmem => Some(DaxDriver::Kmem),
    }
}
