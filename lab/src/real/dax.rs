//! Steps with dax devices, in a real guest: by the files of the bus `dax`, as `daxctl` does it.

use super::{Real, RealError};
use crate::scenario::{Dax, DaxState, DriverWord, Effect, OutcomeWord, Resource};

/// Where Linux has its dax devices and their drivers.
const BUS: &str = "/sys/bus/dax";
/// The drivers of soft-reserved ranges and of the devices that these become; each has its module's name.
const HMEM: &str = "dax_hmem";
const DRIVERS: [DriverWord; 2] = [DriverWord::DeviceDax, DriverWord::Kmem];

/// Has the driver in directory `$1` take the device `$0`. One that is not of its kind it has to be told of (ENODEV), and then takes
/// it; with it, though, all others of its kind (`do_id_store`, drivers/dax/bus.c). It is `cat` that writes: not every shell says
/// what a write of its own failed with.
const TAKE: &str = r#"echo "$0" | cat 2> /tmp/bind > "$1/bind" && exit 0
! grep -q "No such device" /tmp/bind || echo "$0" > "$1/new_id""#;

impl Real {
    pub(super) fn dax(&mut self, dax: &Dax) -> Result<Effect, RealError> {
        self.load_dax_drivers()?;
        let done = self.bind_dax(dax)?;
        let state = self.dax_state(&dax.id)?;
        let done = done && state.driver == dax.driver;
        let outcome = Some(if done { OutcomeWord::Done } else { OutcomeWord::Refused });
        Ok(Effect { outcome, dax: Some(state), ..Effect::default() })
    }

    /// The drivers are there, and take nothing by themselves: since 6.3 `kmem` would take all devices as it is loaded
    /// (`dax_match_type`, `IORESOURCE_DAX_KMEM`), and before that `device_dax` (`match_always`).
    ///
    /// In a distribution udev has loaded them, and they take what they take.
    fn load_dax_drivers(&mut self) -> Result<(), RealError> {
        if self.has_distribution {
            return Ok(());
        }
        self.vm.guest().load_module(HMEM)?;
        self.vm.shell(&format!("echo 0 > {BUS}/drivers_autoprobe"))?;
        for name in DRIVERS.into_iter().filter_map(DriverWord::name) {
            self.vm.guest().load_module(name)?;
        }
        Ok(())
    }

    /// Has the device's driver let it go, and the other one asked to take it. Returns whether nothing failed so far.
    fn bind_dax(&mut self, dax: &Dax) -> Result<bool, RealError> {
        let Dax { id, driver, memmap_on_memory } = dax;
        if let Some(name) = self.dax_state(id)?.driver.name() {
            self.write_file(&format!("{BUS}/drivers/{name}/unbind"), id)?;
            self.write_file(&format!("{BUS}/drivers/{name}/remove_id"), id)?;
            // Unbinding never fails: what has become of the memory shows in what is left of it.
            if !self.dax_state(id)?.resources.is_empty() {
                return Ok(false);
            }
        }
        if let Some(on) = memmap_on_memory {
            let file = format!("{BUS}/devices/{id}/memmap_on_memory");
            if self.write_file(&file, if *on { "1" } else { "0" })?.is_some() {
                return Ok(false);
            }
        }
        if let Some(name) = driver.name() {
            let driver = format!("{BUS}/drivers/{name}");
            self.vm.guest().exec(&["sh", "-c", TAKE, id, &driver], b"")?;
        }
        Ok(true)
    }

    /// What the guest shows of the device.
    pub(super) fn dax_state(&mut self, id: &str) -> Result<DaxState, RealError> {
        let bound = self.vm.shell(&format!("readlink {BUS}/devices/{id}/driver || true"))?;
        let bound = bound.trim().rsplit('/').next().unwrap_or_default();
        let driver = DRIVERS.into_iter().find(|driver| driver.name() == Some(bound));
        let iomem = self.vm.shell("cat /proc/iomem")?;
        let driver = driver.unwrap_or(DriverWord::None);
        Ok(DaxState { driver, resources: resources(&iomem, id) })
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
        let found = DaxState { driver: DriverWord::Kmem, resources: resources(IOMEM, "dax0.0") };
        let range = "188000000-1f7ffffff";
        assert_eq!(found.to_string(), format!("kmem: {range} dax0.0 > {range} System RAM (kmem)"));
        assert_eq!(resources(IOMEM, "dax1.0"), []);
        assert_eq!(resources(IOMEM, "0.0"), [], "a name is a whole one");
    }
}
