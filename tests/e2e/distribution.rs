//! A whole distribution in the guest: systemd, udev and people's own tools, and memory that comes and goes under them.
//!
//! Each scenario of the library that runs on a distribution is a test, on each kernel that it is about.

use std::error::Error;
use std::time::Duration;

use dimmer_agent::protocol::Status;
use dimmer_images::{Cache, Kernel};
use dimmer_lab::check::{Batch, Seat};
use dimmer_lab::distribution::{self, Guest, WINDOWS};
use dimmer_lab::library::{Source, library};
use dimmer_lab::vm::{Setup, TestVm};
use libtest_mimic::Arguments;

use crate::library::all_pass;
use crate::{Case, GIB, MIB, Outcome};

/// The distribution, and the kernel that it boots here.
const NAME: &str = "debian-12";
const KERNEL: &str = "6.12";
/// Where the first DIMM is: its addresses as chmem takes them.
const D0: &str = "0x100000000-0x13fffffff";
/// Services come up for minutes in an emulated host.
const PATIENCE: Duration = Duration::from_secs(900);

type Test = (&'static str, fn(&Guest) -> Outcome);

/// All of them, which wait until ignored tests are asked for: the image is built then.
pub fn cases(arguments: &Arguments, kernels: &[Kernel]) -> Result<Vec<Case>, Box<dyn Error>> {
    let scenarios = scenarios(kernels)?;
    if arguments.ignored || arguments.include_ignored {
        let cache = Cache::open()?;
        Guest::new(&cache, NAME, Some(KERNEL))?;
        for (Source { scenario, .. }, kernel) in &scenarios {
            let wanted = scenario.guest.distribution.ok_or("it has a distribution")?;
            distribution::prepare(&cache, wanted, &scenario.guest.packages, [kernel])?;
        }
    }
    let case = |(name, test): Test| {
        let run = move || test(&Guest::new(&Cache::open()?, NAME, Some(KERNEL))?);
        Case::new(format!("{KERNEL}::distribution::{name}"), true, run).costing(8)
    };
    let all: [Test; 2] = [
        ("a_command_has_its_status", a_command_has_its_status),
        ("memory_under_systemd", memory_under_systemd),
    ];
    let mut cases: Vec<Case> = all.into_iter().map(case).collect();
    cases.extend(scenarios.into_iter().map(|(source, kernel)| {
        let name = format!("{}::distribution::{}", kernel.name, source.name);
        let steps = u32::try_from(source.scenario.steps.len()).unwrap_or(u32::MAX);
        Case::new(name, true, move || passes(&source, &kernel)).costing(steps.saturating_add(8))
    }));
    Ok(cases)
}

/// The library's scenarios that run on a distribution, with each of `kernels` that they are about.
fn scenarios(kernels: &[Kernel]) -> Result<Vec<(Source, Kernel)>, Box<dyn Error>> {
    let mut all = Vec::new();
    for source in library()?.into_iter().filter(|source| source.scenario.guest.distribution.is_some()) {
        for kernel in kernels {
            if source.scenario.is_about(kernel.release.parse()?) {
                all.push((source.clone(), kernel.clone()));
            }
        }
    }
    Ok(all)
}

fn passes(source: &Source, kernel: &Kernel) -> Outcome {
    all_pass(&[Batch { kernel, sources: vec![source] }], Seat::default)
}

fn booted(guest: &Guest, more: &str) -> Result<TestVm, Box<dyn Error>> {
    let setup: Setup<'_> = guest.setup(more).arguments("--cpus 1 --memory size=2G --rng");
    let mut vm = WINDOWS
        .iter()
        .fold(setup, |setup, window| setup.flag("--memory-hotplug", (*window).to_owned()))
        .start()?;
    distribution::await_boot(&mut vm)?;
    vm.guest().set_patience(PATIENCE);
    let state = vm.shell("systemctl is-system-running; true")?;
    assert!(["running", "degraded"].contains(&state.trim()), "{state}");
    Ok(vm)
}

fn a_command_has_its_status(guest: &Guest) -> Outcome {
    let mut vm = booted(guest, "")?;
    let words = ["sh", "-c", "echo out; echo err >&2; exit 3"].map(str::to_owned);
    let executed = vm.guest().exec(&words, b"")?;
    assert_eq!((&executed.stdout.0[..], &executed.stderr.0[..]), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(executed.status, Status::Code(3));
    let release = vm.shell(". /etc/os-release; echo $ID-$VERSION_ID")?;
    assert_eq!(release.trim(), NAME);
    assert_eq!(vm.shell("ps -o comm= -p 1")?.trim(), "systemd");
    Ok(())
}

/// Memory comes, people's tools show it, take it offline and online, and it goes.
fn memory_under_systemd(guest: &Guest) -> Outcome {
    // By themselves Debian's kernels put memory online as it comes, as kernel memory, and use it at once.
    let mut vm = booted(guest, "memhp_default_state=offline")?;
    assert_eq!(vm.shell("systemctl is-active systemd-udevd")?.trim(), "active");
    let blocks = "ls -d /sys/devices/system/memory/memory* | wc -l";
    let before: u64 = vm.shell(blocks)?.trim().parse()?;
    vm.rest.add_dimm("d0", GIB)?;
    // udev has seen to it once this returns.
    vm.shell("udevadm settle")?;
    assert_eq!(vm.shell(blocks)?.trim().parse::<u64>()?, before + 8);
    for (command, online) in [("-e -z Movable", 3 * GIB), ("-d", 2 * GIB), ("-e -z Movable", 3 * GIB)] {
        vm.shell(&format!("chmem {command} {D0}"))?;
        assert_eq!(total(&mut vm)?, online, "{command}");
    }
    assert_eq!(vm.shell("daxctl list; ndctl list; echo $?")?.trim(), "0", "neither has a device");
    vm.rest.resize("vmem0", 512 * MIB)?;
    vm.rest.resize("vmem0", 0)?;
    let removed = vm.rest.remove_dimm("d0")?;
    assert_eq!(removed.status, 200, "{}", removed.body);
    assert_eq!((total(&mut vm)?, vm.rest.audit()?.problems), (2 * GIB, Vec::new()));
    Ok(())
}

/// What lsmem says is online, in bytes.
fn total(vm: &mut TestVm) -> Result<u64, Box<dyn Error>> {
    let text = vm.shell("lsmem --bytes --summary=only | awk '/online/ && !/offline/ {print $NF}'")?;
    Ok(text.trim().parse()?)
}
