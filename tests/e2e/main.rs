//! End-to-end tests: the real machine, unmodified Debian kernels, and what those kernels show.
//!
//! They run where there is hardware-assisted KVM: here, or in emulated hosts (`fleet.rs`). None is run twice.
//! Each test runs on each of [`KERNELS`]; its name is `KERNEL::FILE::TEST`. To add one: a function
//! in the file of its topic, and its name in that file's list. The books of every machine are audited when it goes.
//!
//! The main files about what the guest's kernel does with its memory ([`ABOUT_THE_GUEST`]) run on both; the others on the last of them
//! alone. Tests that take more than a minute where there is no hardware-assisted KVM ([`LONG`]) wait until ignored ones are
//! asked for, and then everything runs on everything: `cargo test --workspace -- --include-ignored`. So does the library of
//! scenarios on other kernels (`kernels.rs`).

mod agent;
mod api;
mod audit;
mod backing;
mod balloon;
mod bare;
mod boot;
mod check;
mod cpus;
mod dimm;
mod dimm_announced;
mod dimm_faults;
mod dimm_ranges;
mod dimm_stuck;
mod disk;
mod distribution;
mod doctor;
mod driver_managed;
mod endurance;
mod fleet;
mod foreign;
mod fork;
mod host_faults;
mod hostile;
mod hugetlb;
mod input;
mod kernels;
mod kexec;
mod layouts;
mod library;
mod lifecycle;
mod map;
mod net;
mod numa;
mod nvdimm;
mod patience;
mod pmem;
mod poison;
mod reach;
mod sandbox;
mod selftest;
mod shapes;
mod snapshot;
mod snapshot_diff;
mod snapshot_files;
mod standard;
mod virtio_mem;
mod virtio_mem_driver;
mod virtio_mem_faults;
mod virtio_mem_places;
mod virtio_mem_units;
mod vsock;
mod watchdog;

use std::env;
use std::error::Error;
use std::process::ExitCode;

use dimmer_images::{Cache, Kernel, fetch};
use dimmer_lab::host::needs;
use dimmer_lab::{host, vm};
use libtest_mimic::{Arguments, Trial};

/// The kernels that every test runs on, but those of `poison`.
const KERNELS: [&str; 2] = ["6.1", "6.12"];
/// The kernels that those run on: Debian's 6.1 for clouds knows no machine checks.
const POISON_KERNELS: [&str; 2] = ["6.1-amd64", "6.12"];

/// How a test ends: an error or a failed assertion is a failed test.
type Outcome = Result<(), Box<dyn Error>>;

/// A test and its name.
type Test = (&'static str, fn(&Kernel) -> Outcome);

/// A test on a kernel.
struct Case {
    /// `KERNEL::FILE::TEST`.
    name: String,
    /// Whether it runs only when ignored tests are asked for.
    is_ignored: bool,
    /// How long it takes, roughly, in the time that most tests take.
    cost: u32,
    /// Runs it; gives why it failed.
    run: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
}

impl Case {
    /// A test whose machines' books are audited when they go.
    fn new(name: String, is_ignored: bool, test: impl Fn() -> Outcome + Send + Sync + 'static) -> Self {
        let run = move || vm::audited(&test).map_err(|error| dimmer_lab::chain(&*error));
        Self { name, is_ignored, cost: 1, run: Box::new(run) }
    }

    /// The same, which takes as long as so many others.
    fn costing(self, cost: u32) -> Self {
        Self { cost, ..self }
    }
}

/// Lists functions as tests named after their file and themselves.
#[macro_export]
macro_rules! tests {
    ($file:literal: $($test:ident),+ $(,)?) => {
        /// The tests of this file.
        pub const TESTS: &[$crate::Test] = &[$((concat!($file, "::", stringify!($test)), $test)),+];
    };
}

/// The main files about what the guest's kernel makes of memory devices.
const ABOUT_THE_GUEST: [&str; 4] = ["dimm", "layouts", "virtio_mem", "virtio_mem_places"];

/// Tests that take more than a minute.
const LONG: [&str; 30] = [
    "backing::a_named_file",
    "backing::an_unnamed_file",
    "backing::anonymous_memory_without_huge_pages",
    "balloon::what_goes_into_it_is_the_hosts",
    "disk::memory_comes_and_goes_under_reads",
    "disk::what_was_flushed_outlives_a_kill",
    "endurance::a_hundred_thousand_changes",
    "endurance::killed_at_a_thousand_moments",
    "fork::a_child_of_a_guest_at_work",
    "fork::a_hundred_children",
    "fork::memory_of_other_kinds",
    "host_faults::calls_that_fail_at_any_time",
    "hostile::attacks_of_minutes",
    "lifecycle::a_reboot_keeps_the_devices",
    "lifecycle::words_on_the_console",
    "net::a_guest_and_its_host",
    "numa::eight_dimms_where_nodes_do_not_count",
    "reach::a_dimm_before_and_after",
    "reach::sub_blocks_that_are_not_plugged",
    "shapes::blocks_of_2_gib",
    "snapshot::a_clone_of_a_clone",
    "snapshot::a_reset_after_a_restore",
    "snapshot::the_clock_stays_or_jumps",
    "snapshot_diff::a_chain_while_memory_comes_and_goes",
    "snapshot_diff::memory_of_every_kind_has_differences",
    "snapshot_diff::tracking_goes_on_behind_a_restore_and_a_reset",
    "snapshot_files::memory_of_every_kind",
    "virtio_mem_units::units_of_1_gib",
    "virtio_mem_units::units_of_2_gib",
    "virtio_mem_units::units_of_4_gib",
];

/// One gibibyte, and one mebibyte.
const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

fn main() -> ExitCode {
    if let Some(status) = vm::as_dimmer() {
        return status;
    }
    let status = run().unwrap_or_else(|error| {
        eprintln!("end-to-end tests: {}", dimmer_lab::chain(&*error));
        ExitCode::from(2)
    });
    vm::cool_down();
    status
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let mut words: Vec<_> = env::args_os().collect();
    let is_worker = words.iter().position(|word| word == fleet::WORKER).map(|at| words.remove(at)).is_some();
    let mut arguments = Arguments::from_iter(words);
    let cases = cases(&arguments)?;
    if is_worker {
        fleet::work(&cases)?;
        return Ok(ExitCode::SUCCESS);
    }
    // Before the emulated host starts: there nothing can be installed.
    if !arguments.list && arguments.filter.as_deref().is_none_or(host_faults::is_meant) {
        needs::ensure(needs::STRACE)?;
    }
    if !arguments.list && host::needs_emulation() {
        return Ok(fleet::run(&cases, &arguments)?);
    }
    // A machine has a thread for each vCPU and one for everything else, mostly asleep.
    arguments.test_threads.get_or_insert(2);
    let trials = cases.into_iter().map(|Case { name, is_ignored, run, .. }| {
        Trial::test(name, move || Ok(run()?)).with_ignored_flag(is_ignored)
    });
    Ok(libtest_mimic::run(&arguments, trials.collect()).exit_code())
}

/// Kernels with their initramfs, made before the emulated host starts: there nothing stays.
fn fetched(names: &[&str]) -> Result<Vec<Kernel>, Box<dyn Error>> {
    let cache = Cache::open()?;
    let kernels = fetch(&cache, names, false)?;
    for kernel in &kernels {
        dimmer_images::initramfs(kernel)?;
    }
    Ok(kernels)
}

/// Whether a test waits until ignored tests are asked for.
fn is_ignored(test: &str, kernel: &Kernel) -> bool {
    let about_the_guest = test.split_once("::").is_some_and(|(file, _)| ABOUT_THE_GUEST.contains(&file));
    LONG.contains(&test) || (!about_the_guest && !kernel.name.starts_with(KERNELS[1]))
}

/// The files of tests, in the order in which they run.
const FILES: [&[Test]; 45] = [
    snapshot::TESTS,
    snapshot_diff::TESTS,
    fork::TESTS,
    snapshot_files::TESTS,
    foreign::TESTS,
    boot::TESTS,
    bare::TESTS,
    hostile::TESTS,
    endurance::TESTS,
    host_faults::TESTS,
    layouts::TESTS,
    cpus::TESTS,
    dimm::TESTS,
    dimm_ranges::TESTS,
    dimm_announced::TESTS,
    dimm_stuck::TESTS,
    dimm_faults::TESTS,
    virtio_mem::TESTS,
    virtio_mem_units::TESTS,
    virtio_mem_faults::TESTS,
    virtio_mem_places::TESTS,
    virtio_mem_driver::TESTS,
    lifecycle::TESTS,
    agent::TESTS,
    api::TESTS,
    numa::TESTS,
    shapes::TESTS,
    driver_managed::TESTS,
    reach::TESTS,
    sandbox::TESTS,
    disk::TESTS,
    pmem::TESTS,
    nvdimm::TESTS,
    net::TESTS,
    vsock::TESTS,
    watchdog::TESTS,
    balloon::TESTS,
    kexec::TESTS,
    backing::TESTS,
    hugetlb::TESTS,
    audit::TESTS,
    input::TESTS,
    check::TESTS,
    doctor::TESTS,
    map::TESTS,
];

fn cases(arguments: &Arguments) -> Result<Vec<Case>, Box<dyn Error>> {
    let case = |(name, test): &Test, kernel: &Kernel| {
        let (test, kernel) = (*test, kernel.clone());
        let ignored = is_ignored(name, &kernel);
        Case::new(format!("{}::{name}", kernel.name), ignored, move || test(&kernel))
    };
    let (usual, poison) = (fetched(&KERNELS)?, fetched(&POISON_KERNELS)?);
    let on = |kernels: &[Kernel], test| kernels.iter().map(|kernel| case(test, kernel)).collect::<Vec<_>>();
    // What takes longest comes first.
    let mut cases = kernels::cases(arguments)?;
    // Their distribution has more packages, which that of the others may have as well.
    cases.extend(selftest::cases(arguments, &usual)?);
    cases.extend(distribution::cases(arguments, &usual)?);
    cases.extend(library::cases(&usual, &poison));
    cases.extend(poison::TESTS.iter().flat_map(|test| on(&poison, test)).map(|case| case.costing(2)));
    cases.extend(FILES.into_iter().flatten().flat_map(|test| on(&usual, test)));
    Ok(cases)
}
