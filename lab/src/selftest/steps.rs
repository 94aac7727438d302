//! The steps, in their order.

use std::error::Error;
use std::ops::RangeBounds;

use super::place::{Place, Which};
use crate::vm::{Setup, TestVm};
use crate::{expect, promised};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// Windows for one DIMM and for one virtio-mem device.
const DEVICES: &str =
    "--cpus 2 --memory-hotplug method=acpi,slots=1,size=1G --memory-hotplug method=virtio-mem,size=1G";
/// Blocks of the DIMM, and of the virtio-mem device at 1 GiB and at 256 MiB: less than what the ratio lets be movable
/// ([`promised`]).
const DIMM: &str = "48-55 Movable";
/// The first block of the virtio-mem device's window, which lies behind the DIMM's.
const WINDOW: u64 = 56;
const GROWN: &str = "56-63 Movable";
const SHRUNK: &str = "56-57 Movable";
/// What a guest is known by once it goes on elsewhere.
const MARK: &str = "written before";

/// How a step ends: what was seen, or an error.
type Result<T = String> = std::result::Result<T, Box<dyn Error>>;

/// Something that is tried.
#[derive(Debug)]
pub struct Step {
    /// What it does.
    pub name: &'static str,
    /// Steps that must have passed before.
    pub(super) after: &'static [&'static str],
    /// The machine that it is about.
    pub(super) on: Which,
    pub(super) run: fn(&mut Place) -> Result,
}

/// All of them.
pub const STEPS: [Step; 13] = [
    Step { name: "start a machine", after: &[], on: Which::First, run: start },
    Step { name: "boot Linux", after: &["start a machine"], on: Which::First, run: boot },
    Step { name: "look at its layout", after: &["boot Linux"], on: Which::First, run: look },
    Step { name: "plug a DIMM of 1 GiB", after: &["boot Linux"], on: Which::First, run: plug },
    Step { name: "eject it", after: &["plug a DIMM of 1 GiB"], on: Which::First, run: eject },
    Step { name: "grow virtio-mem to 1 GiB", after: &["boot Linux"], on: Which::First, run: grow },
    Step {
        name: "shrink it to 256 MiB",
        after: &["grow virtio-mem to 1 GiB"],
        on: Which::First,
        run: shrink,
    },
    Step { name: "audit the machine", after: &["boot Linux"], on: Which::First, run: audit },
    Step { name: "take a snapshot", after: &["boot Linux"], on: Which::First, run: snapshot },
    Step { name: "restore it", after: &["take a snapshot"], on: Which::Restored, run: restore },
    Step {
        name: "audit what was restored",
        after: &["restore it"],
        on: Which::Restored,
        run: audit_restored,
    },
    Step { name: "fork the machine", after: &["boot Linux"], on: Which::Child, run: fork },
    Step { name: "audit the child", after: &["fork the machine"], on: Which::Child, run: audit_child },
];

fn start(place: &mut Place) -> Result {
    let setup = Setup::new(&place.kernel).arguments(promised::MACHINE).arguments(DEVICES);
    let vm = setup.arguments(&place.more).start()?;
    place.put(Which::First, vm);
    Ok(format!("{} {DEVICES}", promised::MACHINE))
}

fn boot(place: &mut Place) -> Result {
    let vm = place.machine(Which::First)?;
    vm.connect()?;
    Ok(format!("Linux {}", vm.shell("uname -r")?.trim()))
}

fn look(place: &mut Place) -> Result {
    layout(place.machine(Which::First)?, .., &[promised::BOOT])
}

fn plug(place: &mut Place) -> Result {
    let vm = place.machine(Which::First)?;
    vm.rest.add_dimm("d0", GIB)?;
    layout(vm, ..WINDOW, &[promised::BOOT, DIMM])
}

fn eject(place: &mut Place) -> Result {
    let vm = place.machine(Which::First)?;
    let answer = vm.rest.remove_dimm("d0")?;
    if answer.status != 200 {
        return Err(format!("status {}: {}", answer.status, answer.body).into());
    }
    layout(vm, ..WINDOW, &[promised::BOOT])
}

fn grow(place: &mut Place) -> Result {
    resize(place.machine(Which::First)?, GIB, GROWN)
}

fn shrink(place: &mut Place) -> Result {
    resize(place.machine(Which::First)?, 256 * MIB, SHRUNK)
}

fn audit(place: &mut Place) -> Result {
    books(place.machine(Which::First)?)
}

fn snapshot(place: &mut Place) -> Result {
    let directory = place.snapshot();
    let vm = place.machine(Which::First)?;
    vm.shell(&format!("echo {MARK} > /tmp/mark"))?;
    vm.snapshot(&directory)?;
    Ok("registers, devices and memory".to_owned())
}

fn restore(place: &mut Place) -> Result {
    let directory = place.snapshot();
    let known = known(place.machine(Which::First)?)?;
    place.put(Which::Restored, TestVm::restore(&directory, "")?);
    let vm = place.machine(Which::Restored)?;
    vm.connect()?;
    goes_on(vm, &known)
}

fn audit_restored(place: &mut Place) -> Result {
    books(place.machine(Which::Restored)?)
}

/// A child goes on as its parent was, and what is its own is not its parent's.
fn fork(place: &mut Place) -> Result {
    let parent = place.machine(Which::First)?;
    parent.shell(&format!("echo {MARK} > /tmp/mark"))?;
    let known = known(parent)?;
    let child = parent.fork()?;
    place.put(Which::Child, child);
    let child = place.machine(Which::Child)?;
    let seen = goes_on(child, &known)?;
    child.shell("rm /tmp/mark")?;
    goes_on(place.machine(Which::First)?, &known).map_err(|error| format!("the parent: {error}"))?;
    Ok(seen)
}

fn audit_child(place: &mut Place) -> Result {
    books(place.machine(Which::Child)?)
}

fn resize(vm: &mut TestVm, size: u64, blocks: &str) -> Result {
    let device = vm.rest.resize("vmem0", size)?;
    if device["plugged_size"] != size {
        return Err(format!("plugged_size is {}, not {size}", device["plugged_size"]).into());
    }
    layout(vm, WINDOW.., &[blocks])
}

/// Holds the guest's layout against what is expected, block by block, of those that are `within`: what went wrong before with
/// others is no failure of this step.
fn layout(vm: &mut TestVm, within: impl RangeBounds<u64>, expected: &[&str]) -> Result {
    let expected = expected.join(", ");
    let mut layout = vm.settled()?;
    layout.blocks.retain(|block| within.contains(&block.index));
    let differences = expect::differences(&expected, &layout)?;
    match differences.is_empty() {
        true => Ok(expected),
        false => Err(format!("the layout differs: {}", differences.join("; ")).into()),
    }
}

/// All blocks of a guest, in the words of a layout.
fn known(vm: &mut TestVm) -> Result {
    let seen = expect::seen(&vm.settled()?);
    Ok(seen.iter().map(|(index, shows)| format!("{index} {shows}")).collect::<Vec<_>>().join(", "))
}

/// That a guest has what another one had: its blocks, and what it has written.
fn goes_on(vm: &mut TestVm, known: &str) -> Result {
    let mark = vm.shell("cat /tmp/mark")?;
    if mark.trim() != MARK {
        return Err(format!("the guest has {mark:?} where it wrote {MARK:?}").into());
    }
    layout(vm, .., &[known])?;
    Ok("the guest has its blocks, and what it wrote".to_owned())
}

/// The machine's books agree.
fn books(vm: &TestVm) -> Result {
    let audit = vm.rest.audit()?;
    match audit.ok && audit.problems.is_empty() {
        true => Ok(format!("{} devices with memory agree with KVM and the host", audit.devices.len())),
        false => Err(format!("the books do not agree: {}", audit.problems.join("; ")).into()),
    }
}
