//! Do guests grow in movable memory, so that they can shrink again? Asked of a real kernel.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use dimmer_images::{Cache, Kernel, fetch};
use dimmer_lab::vm::{Setup, audited};
use dimmer_lab::{chain, expect, host, vm};
use libtest_mimic::{Arguments, Failed, Trial};
use memory_of_our_guests::{GROWTH, MEMORY};

/// The guest after its boot.
const BOOT: &str = "0 none, 1-7 DMA32";

type Test = fn(&Kernel) -> Result<(), Box<dyn Error>>;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    // Each machine is this very program, started as `dimmer`.
    if let Some(status) = vm::as_dimmer() {
        return Ok(status);
    }
    let arguments = Arguments::from_args();
    // Kernels are fetched here; in an emulated host nothing that is written stays.
    let kernel = Arc::new(fetch(&Cache::open()?, &["6.12"], false)?.remove(0));
    dimmer_images::initramfs(&kernel)?;
    if !arguments.list {
        host::reexec_if_needed();
    }
    let tests: [(&str, Test); 2] = [("a_guest_grows_and_shrinks", grows), ("a_dimm_comes_and_goes", comes)];
    let trials = tests.map(|(name, test)| {
        let kernel = Arc::clone(&kernel);
        // The machine's books are audited when it goes; what is wrong with them fails the test, too.
        Trial::test(name, move || audited(|| test(&kernel)).map_err(|error| Failed::from(chain(&*error))))
    });
    Ok(libtest_mimic::run(&arguments, trials.into()).exit_code())
}

fn grows(kernel: &Kernel) -> Result<(), Box<dyn Error>> {
    let mut vm = Setup::new(kernel).arguments(MEMORY).boot()?;
    vm.rest.resize("vmem0", GROWTH)?;
    assert_layout(&mut vm, "0 none, 1-7 DMA32, 64-87 Movable")?;
    vm.rest.resize("vmem0", 0)?;
    assert_layout(&mut vm, BOOT)
}

fn comes(kernel: &Kernel) -> Result<(), Box<dyn Error>> {
    let mut vm = Setup::new(kernel).arguments(MEMORY).boot()?;
    vm.rest.add_dimm("d0", 1 << 30)?;
    assert_layout(&mut vm, "0 none, 1-7 DMA32, 32-39 Movable")?;
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    assert_layout(&mut vm, BOOT)
}

/// Fails with every block that is not as written.
fn assert_layout(vm: &mut vm::TestVm, expected: &str) -> Result<(), Box<dyn Error>> {
    assert_eq!(expect::differences(expected, &vm.settled()?)?, [""; 0]);
    Ok(())
}
