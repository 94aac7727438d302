//! The main job: an unmodified Debian kernel reproduces, block by block, the two layouts of
//! [`promised`], and then lets a DIMM go.

use std::fmt;
use std::io::{self, Write};

use dimmer_images::Kernel;

use crate::devices::Devices;
use crate::expect::{self, NotALayout};
use crate::promised;
use crate::rest::RestError;
use crate::vm::{Setup, TestVm, VmError};
use dimmer::ctl::client::Method;

mod report;

use report::Report;

/// The kernel that is shown.
pub const KERNEL: &str = "6.12";

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// Guest memory that is filled before the DIMM below it is ejected.
const FILLED: u64 = 512 * MIB;
/// The least of it that the host must have back.
const LEAST_BACK: u64 = 256 * MIB;

/// The demonstration could not be given.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The machine or its guest.
    #[error(transparent)]
    Vm(#[from] VmError),
    /// The machine's API.
    #[error(transparent)]
    Rest(#[from] RestError),
    /// A layout that cannot be read: a mistake in the lab.
    #[error(transparent)]
    Layout(#[from] NotALayout),
    /// Nobody listens.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

/// Gives the whole demonstration on `out`; returns whether everything was as promised.
///
/// # Errors
/// [`DemoError`] when it could not be given to the end.
pub fn run(kernel: &Kernel, coloured: bool, out: &mut dyn Write) -> Result<bool, DemoError> {
    let mut demo = Demo { report: Report { out, coloured }, right: true };
    demo.report.line(&format!("Linux {}, auto-movable, ratio 301 %", kernel.release))?;
    demo.six_dimms(kernel)?;
    demo.one_virtio_mem(kernel)?;
    let verdict = if demo.right { "everything as promised" } else { "NOT as promised" };
    demo.report.line(&format!("\nVerdict: {verdict}"))?;
    Ok(demo.right)
}

struct Demo<'a> {
    report: Report<'a>,
    right: bool,
}

impl Demo<'_> {
    fn six_dimms(&mut self, kernel: &Kernel) -> Result<(), DemoError> {
        self.report.heading("(a) 4 GiB of RAM, six DIMMs of 4 GiB plugged one after another")?;
        let setup = Setup::new(kernel)
            .arguments(promised::MACHINE)
            .arguments("--memory-hotplug method=acpi,slots=8,size=32G");
        let mut vm = self.report.step("boot", || setup.boot())?;
        for slot in 0..6 {
            let id = format!("d{slot}");
            self.report.step(&format!("plug {id}, 4 GiB"), || vm.rest.add_dimm(&id, 4 * GIB))?;
        }
        self.check(&mut vm, promised::SIX_DIMMS, true)?;
        self.eject_first(&mut vm)
    }

    /// Fills memory of the first DIMM, whose blocks the guest's allocator takes first, and ejects
    /// it.
    fn eject_first(&mut self, vm: &mut TestVm) -> Result<(), DemoError> {
        let fill = format!("dd if=/dev/zero of=/tmp/fill bs=1M count={} 2>&1 && rm /tmp/fill", FILLED / MIB);
        self.report.step(&format!("fill {} MiB in the guest", FILLED / MIB), || vm.shell(&fill))?;
        let before = vm.resident()?;
        let answer = self.report.step("eject d0", || vm.rest.remove_dimm("d0"))?;
        let after = vm.resident()?;
        let remaining = promised::SIX_DIMMS.replace("48-143 Movable", "80-143 Movable");
        let gone = self.check(vm, &remaining, false)?;
        let back = before.saturating_sub(after);
        let text = format!(
            "d0 {}: blocks 48-79 {}; host memory {} MiB before, {} MiB after: {} MiB are back",
            if answer.status == 200 { "is ejected" } else { "was NOT ejected" },
            if gone { "are gone" } else { "are NOT as they should be" },
            before / MIB,
            after / MIB,
            back / MIB
        );
        self.report.line(&text)?;
        self.right &= answer.status == 200 && back >= LEAST_BACK;
        Ok(())
    }

    fn one_virtio_mem(&mut self, kernel: &Kernel) -> Result<(), DemoError> {
        self.report.heading("(b) the same machine with one virtio-mem device of 32 GiB")?;
        let setup = Setup::new(kernel)
            .arguments(promised::MACHINE)
            .arguments("--memory-hotplug method=virtio-mem,id=vmem0,size=32G");
        let mut vm = self.report.step("boot", || setup.boot())?;
        let steps = [
            (12, promised::GROWN_12G),
            (14, promised::GROWN_14G),
            (16, promised::GROWN_16G),
            (4, promised::SHRUNK_4G),
        ];
        for (size, expected) in steps {
            self.report
                .step(&format!("resize vmem0 to {size} GiB"), || vm.rest.resize("vmem0", size * GIB))?;
            self.check(&mut vm, expected, size >= 16 || size == 4)?;
        }
        Ok(())
    }

    /// Holds the guest's layout against what is expected; shows picture and table, or without
    /// `picture` the verdict alone.
    fn check(&mut self, vm: &mut TestVm, expected: &str, picture: bool) -> Result<bool, DemoError> {
        let layout = vm.settled()?;
        let devices = Devices::read(&vm.rest.tell(Method::GET, "/memory-devices", None)?);
        let (expected, seen) = (expect::parse(expected)?, expect::seen(&layout));
        let rows = expect::compare(&expected, &seen, |index| devices.of_block(index, layout.block_size));
        let right = rows.iter().all(expect::Row::is_right);
        if picture || !right {
            self.report.picture(&seen)?;
            self.report.table(&rows)?;
        }
        self.report.verdict(right, seen.len())?;
        self.right &= right;
        Ok(right)
    }
}

impl fmt::Debug for Demo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Demo").field("right", &self.right).finish_non_exhaustive()
    }
}
