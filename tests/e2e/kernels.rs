//! The other kernels that Debian has: each boots, and does with its memory what the oracle says.
//!
//! They are fetched, and run, only when ignored tests are asked for.

use dimmer_images::{Cache, Kernel, fetch, kernels};
use dimmer_lab::scenario::Scenario;
use dimmer_lab::scenario::check::check;
use dimmer_lab::{chain, vm};
use libtest_mimic::{Arguments, Failed, Trial};

use crate::Outcome;

/// The kernels that no other test runs on.
const OTHERS: [&str; 3] = ["5.10", "6.18", "7"];

/// DIMMs and virtio-mem in one guest, without anything that Linux leaves open.
const SCENARIO: &str = r#"
shows = "DIMMs and virtio-mem side by side"
[machine]
memory_hotplug = ["method=acpi,slots=2,size=8G", "method=virtio-mem,id=vmem0,size=8G"]
[guest]
auto_online_blocks = "offline"
[[step]]
plug = { id = "d0", size = "1G" }
[[step]]
online = { blocks = "48-55", how = "online_movable" }
[[step]]
set = { auto_online_blocks = "online_movable" }
[[step]]
resize = { to = "1G" }
[[step]]
resize = { to = "512M" }
[[step]]
unplug = "d0"
[[step]]
resize = { to = "0" }
"#;

/// A test for each kernel, which are fetched when they are to run.
pub fn trials(arguments: &Arguments) -> Result<Vec<Trial>, Box<dyn std::error::Error>> {
    if arguments.ignored || arguments.include_ignored {
        let cache = Cache::open()?;
        for kernel in fetch(&cache, &OTHERS, false)? {
            dimmer_images::initramfs(&kernel)?;
        }
    }
    let trial = |name: &'static str| {
        let full = kernels::find(name).map_or(name, |source| source.name);
        let run = move || vm::audited(|| as_predicted(name)).map_err(|error| Failed::from(chain(&*error)));
        Trial::test(format!("{full}::kernels::dimms_and_virtio_mem"), run).with_ignored_flag(true)
    };
    Ok(OTHERS.map(trial).into())
}

fn as_predicted(name: &str) -> Outcome {
    let kernel = Kernel::resolve(name)?;
    let scenario = Scenario::parse(SCENARIO, "the scenario of this file".as_ref())?;
    let verdict = check(&scenario, &kernel)?;
    assert_eq!(verdict.steps, scenario.steps.len(), "{:?}", verdict.failures);
    assert!(verdict.failures.is_empty(), "{:?}", verdict.failures);
    Ok(())
}
