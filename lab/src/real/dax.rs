//! Steps with dax devices, in a real guest: by the files of the bus `dax`, as `daxctl` does it.

use dimmer_oracle::memory::Errno;

use super::{Real, RealError};
use crate::scenario::{Dax, DaxState, DriverWord, Effect, OutcomeWord, Resource};

/// Where Linux has its dax devices and their drivers.
const BUS: &str = "/sys/bus/dax";
/// The drivers of soft-reserved ranges and of the devices that these become; each has its module's name.
const HMEM: &str = "dax_hmem";
const DRIVERS: [DriverWord; 2] = [DriverWord::DeviceDax, DriverWord::Kmem];

impl Real {
    pub(super) fn dax(&mut self, dax: &Dax) -> Result<Effect, RealError> {
        self.load_dax_drivers()?;
        let error = self.bind_dax(dax)?;
        let state = self.dax_state(&dax.id, error)?;
        // Unbinding never fails: what has become of the memory shows in what is left of it.
        let is_left = state.driver == DriverWord::None && !state.resources.is_empty();
        let refused = state.driver != dax.driver || error.is_some() || is_left;
        let outcome = Some(if refused { OutcomeWord::Refused } else { OutcomeWord::Done });
        Ok(Effect { outcome, dax: Some(state), ..Effect::default() })
    }

    /// The drivers are there, and take nothing by themselves: since 6.3 `kmem` would take all devices as it is loaded
    /// (`dax_match_type`, `IORESOURCE_DAX_KMEM`), and before that `device_dax` (`match_always`).
    fn load_dax_drivers(&mut self) -> Result<(), RealError> {
        self.vm.guest().load_module(HMEM)?;
        self.vm.shell(&format!("echo 0 > {BUS}/drivers_autoprobe"))?;
        for name in DRIVERS.into_iter().filter_map(DriverWord::name) {
            self.vm.guest().load_module(name)?;
        }
        Ok(())
    }

    /// Has the device's driver let it go, and the other one take it. Returns what a write failed with.
    fn bind_dax(&mut self, dax: &Dax) -> Result<Option<Errno>, RealError> {
        let Dax { id, driver, memmap_on_memory } = dax;
        let before = self.dax_state(id, None)?;
        if let Some(name) = before.driver.name() {
            self.write_file(&format!("{BUS}/drivers/{name}/unbind"), id)?;
            self.write_file(&format!("{BUS}/drivers/{name}/remove_id"), id)?;
            if !self.dax_state(id, None)?.resources.is_empty() {
                return Ok(None);
            }
        }
        if let Some(on) = memmap_on_memory {
            let file = format!("{BUS}/devices/{id}/memmap_on_memory");
            if let Some(error) = self.write_file(&file, if *on { "1" } else { "0" })? {
                return Ok(Some(error));
            }
        }
        let Some(name) = driver.name() else { return Ok(None) };
        let bind = format!("{BUS}/drivers/{name}/bind");
        // A driver takes devices of its own kind, and beside them those that it is told of; being told, it takes them.
        if self.write_file(&bind, id)?.is_none() {
            return Ok(None);
        }
        self.write_file(&format!("{BUS}/drivers/{name}/new_id"), id)?;
        if self.dax_state(id, None)?.driver == *driver {
            return Ok(None);
        }
        self.write_file(&bind, id)
    }

    /// What the guest shows of the device.
    fn dax_state(&mut self, id: &str, error: Option<Errno>) -> Result<DaxState, RealError> {
        let bound = self.vm.shell(&format!("readlink {BUS}/devices/{id}/driver || true"))?;
        let bound = bound.trim().rsplit('/').next().unwrap_or_default();
        let driver = DRIVERS.into_iter().find(|driver| driver.name() == Some(bound));
        let iomem = self.vm.shell("cat /proc/iomem")?;
        let driver = driver.unwrap_or(DriverWord::None);
        Ok(DaxState { driver, error, resources: resources(&iomem, id) })
    }
}

/// The entry of the name `id` in /proc/iomem, and those within.
fn resources(iomem: &str, id: &str) -> Vec<Resource> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let mut lines = iomem.lines().skip_while(|line| !line.ends_with(&format!(" : {id}")));
    let Some(first) = lines.next() else { return Vec::new() };
    let within = lines.take_while(|line| depth(line) > depth(first));
    std::iter::once(first).chain(within).filter_map(resource).collect()
}

/// As `  180000000-1ffffffff : dax0.0`
fn resource(line: &str) -> Option<Resource> {
    let (range, name) = line.trim().split_once(" : ")?;
    let (start, end) = range.split_once('-')?;
    let address = |text| u64::from_str_radix(text, 16).ok();
    Some(Resource { range: address(start)?..=address(end)?, name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const IOMEM: &str = "\
100000000-17fffffff : System RAM
180000000-1ffffffff : Soft Reserved
  188000000-1f7ffffff : dax0.0
    188000000-1f7ffffff : System RAM (kmem)
200000000-23fffffff : Soft Reserved
";

    #[test]
    fn a_device_is_found_with_what_is_within() {
        let found = DaxState { driver: DriverWord::Kmem, error: None, resources: resources(IOMEM, "dax0.0") };
        let range = "188000000-1f7ffffff";
        assert_eq!(found.to_string(), format!("kmem: {range} dax0.0 > {range} System RAM (kmem)"));
        assert_eq!(resources(IOMEM, "dax1.0"), []);
        assert_eq!(resources(IOMEM, "0.0"), [], "a name is a whole one");
    }

    #[test]
    fn a_failure_is_said() {
        let error = Some(Errno::EBUSY);
        let state = DaxState { driver: DriverWord::None, error, resources: Vec::new() };
        assert_eq!(state.to_string(), "no driver (EBUSY)");
    }
}
