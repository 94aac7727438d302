//! End-to-end tests: the real machine, unmodified Debian kernels, and what those kernels show.
//!
//! They run where there is hardware-assisted KVM: here, or all of them inside one emulated host.
//! Each test runs on each of [`KERNELS`]; its name is `KERNEL::FILE::TEST`. To add one: a function
//! in the file of its topic, and its name in that file's list.

mod agent;
mod api;
mod boot;
mod dimm;
mod input;
mod layouts;
mod lifecycle;
mod numa;
mod virtio_mem;

use std::error::Error;
use std::process::ExitCode;

use dimmer_images::{Cache, Kernel, fetch};
use dimmer_lab::{host, vm};
use libtest_mimic::{Arguments, Failed, Trial};

/// The kernels that every test runs on.
const KERNELS: [&str; 2] = ["6.1", "6.12"];

/// How a test ends: an error or a failed assertion is a failed test.
type Outcome = Result<(), Box<dyn Error>>;

/// A test and its name.
type Test = (&'static str, fn(&Kernel) -> Outcome);

/// Lists functions as tests named after their file and themselves.
#[macro_export]
macro_rules! tests {
    ($file:literal: $($test:ident),+ $(,)?) => {
        /// The tests of this file.
        pub const TESTS: &[$crate::Test] = &[$((concat!($file, "::", stringify!($test)), $test)),+];
    };
}

/// One gibibyte, and one mebibyte.
const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

fn main() -> ExitCode {
    if let Some(status) = vm::as_dimmer() {
        return status;
    }
    let mut arguments = Arguments::from_args();
    let kernels = match kernels() {
        Ok(kernels) => kernels,
        Err(error) => {
            eprintln!("end-to-end tests: {}", dimmer_lab::chain(&*error));
            return ExitCode::from(2);
        }
    };
    if !arguments.list {
        host::reexec_if_needed();
    }
    // A machine has a thread for each vCPU and one for everything else, mostly asleep.
    arguments.test_threads.get_or_insert(2);
    libtest_mimic::run(&arguments, trials(&kernels)).exit_code()
}

/// The kernels with their initramfs, made before the emulated host starts: there nothing stays.
fn kernels() -> Result<Vec<Kernel>, Box<dyn Error>> {
    let cache = Cache::open()?;
    let kernels = fetch(&cache, &KERNELS, false)?;
    for kernel in &kernels {
        dimmer_images::initramfs(kernel)?;
    }
    Ok(kernels)
}

fn trials(kernels: &[Kernel]) -> Vec<Trial> {
    let files: [&[Test]; 9] = [
        layouts::TESTS,
        boot::TESTS,
        dimm::TESTS,
        virtio_mem::TESTS,
        lifecycle::TESTS,
        agent::TESTS,
        api::TESTS,
        numa::TESTS,
        input::TESTS,
    ];
    let trial = |(name, test): &Test, kernel: &Kernel| {
        let (test, kernel) = (*test, kernel.clone());
        Trial::test(format!("{}::{name}", kernel.name), move || {
            test(&kernel).map_err(|error| Failed::from(dimmer_lab::chain(&*error)))
        })
    };
    let tests = files.into_iter().flatten();
    tests.flat_map(|test| kernels.iter().map(move |kernel| trial(test, kernel))).collect()
}
