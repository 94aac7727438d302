//! A whole distribution in the guest: systemd, udev and people's own tools, and memory that comes and goes under them.

use std::error::Error;
use std::time::Duration;

use dimmer_agent::protocol::Status;
use dimmer_images::Cache;
use dimmer_lab::distribution::{Guest, WINDOWS};
use dimmer_lab::vm::{Setup, TestVm};
use libtest_mimic::Arguments;

use crate::patience::wait_until;
use crate::{Case, GIB, MIB, Outcome};

/// The distribution, and the kernel that it boots here.
const NAME: &str = "debian-12";
const KERNEL: &str = "6.12";
/// Services come up for minutes in an emulated host.
const PATIENCE: Duration = Duration::from_secs(900);

type Test = (&'static str, fn(&Guest) -> Outcome);

/// All of them, which wait until ignored tests are asked for: the image is built then.
pub fn cases(arguments: &Arguments) -> Result<Vec<Case>, Box<dyn Error>> {
    if arguments.ignored || arguments.include_ignored {
        Guest::new(&Cache::open()?, NAME, Some(KERNEL))?;
    }
    let case = |(name, test): Test| {
        let run = move || test(&Guest::new(&Cache::open()?, NAME, Some(KERNEL))?);
        Case::new(format!("{KERNEL}::distribution::{name}"), true, run).costing(8)
    };
    let all: [Test; 2] = [
        ("a_command_has_its_status", a_command_has_its_status),
        ("memory_under_systemd", memory_under_systemd),
    ];
    Ok(all.into_iter().map(case).collect())
}

fn booted(guest: &Guest) -> Result<TestVm, Box<dyn Error>> {
    let setup: Setup<'_> = guest.setup("").arguments("--cpus 1 --memory size=2G --rng");
    let mut vm = WINDOWS
        .iter()
        .fold(setup, |setup, window| setup.flag("--memory-hotplug", (*window).to_owned()))
        .boot()?;
    vm.guest().set_patience(PATIENCE);
    // Whatever became of the services: degraded is a system to work with.
    let state = vm.shell("systemctl is-system-running --wait; true")?;
    assert!(["running", "degraded"].contains(&state.trim()), "{state}");
    Ok(vm)
}

fn a_command_has_its_status(guest: &Guest) -> Outcome {
    let mut vm = booted(guest)?;
    let words = ["sh", "-c", "echo out; echo err >&2; exit 3"].map(str::to_owned);
    let executed = vm.guest().exec(&words, b"")?;
    assert_eq!((&executed.stdout.0[..], &executed.stderr.0[..]), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(executed.status, Status::Code(3));
    let release = vm.shell(". /etc/os-release; echo $ID-$VERSION_ID")?;
    assert_eq!(release.trim(), NAME);
    assert_eq!(vm.shell("ps -o comm= -p 1")?.trim(), "systemd");
    Ok(())
}

/// udev sees memory come, people's tools show it, take it offline and online, and it goes.
fn memory_under_systemd(guest: &Guest) -> Outcome {
    let mut vm = booted(guest)?;
    assert_eq!(vm.shell("systemctl is-active systemd-udevd")?.trim(), "active");
    vm.shell("udevadm monitor --udev --subsystem-match=memory > /run/seen 2>&1 & sleep 1")?;
    vm.rest.add_dimm("d0", GIB)?;
    wait_until("udev's words about eight blocks", || {
        Ok(vm.shell("grep -c 'add .*/memory' /run/seen; true")?.trim() == "8")
    })?;
    vm.shell("chmem -e 1G || chmem -e -b 1G || true")?;
    wait_until("the memory online", || Ok(total(&mut vm)? >= 3 * GIB))?;
    assert_eq!(vm.shell("daxctl list; ndctl list; echo $?")?.trim(), "0", "neither has a device");
    vm.rest.resize("vmem0", 512 * MIB)?;
    vm.rest.resize("vmem0", 0)?;
    vm.rest.remove_dimm("d0")?;
    assert_eq!(vm.rest.audit()?.problems, Vec::<String>::new());
    wait_until("the DIMM gone", || Ok(total(&mut vm)? == 2 * GIB))
}

/// What lsmem says is online, in bytes.
fn total(vm: &mut TestVm) -> Result<u64, Box<dyn Error>> {
    let text = vm.shell("lsmem --bytes --summary=only | awk '/online/ && !/offline/ {print $NF}'")?;
    Ok(text.trim().parse()?)
}
