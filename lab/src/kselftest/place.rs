//! The worker's side: a distribution's guest on a machine with DIMMs and a processor that came, and the tests in it.

use std::time::{Duration, Instant};

use dimmer::ctl::client::Method;
use dimmer::printable::printable;
use dimmer_images::distribution::pack;
use dimmer_images::selftests::RUNNER;
use serde_json::json;

use super::{Answer, Done, Name, Tests, tap};
use crate::distribution::Guest;
use crate::guest::GuestError;
use crate::vm::{self, TestVm};

/// The distribution: the tests are scripts for its shell and tools.
pub const DISTRIBUTION: &str = "debian-12";
/// What the tests call and it would not have: without `bc` the one of memory puts nothing offline, and says that all is well.
pub const PACKAGES: [&str; 1] = ["bc"];

/// Memory that comes is movable, so that it can go offline again.
const CMDLINE: &str = "memhp_default_state=online_movable";
/// Two processors and 1 GiB of memory at boot; there are places for one more processor and two DIMMs. The test of memory takes
/// blocks by the alphabet, so that those of the DIMMs, 104 to 119, come before most of boot memory.
const MACHINE: &str =
    "--cpus 2,max=3 --memory size=1G --memory-hotplug method=acpi,slots=2,size=2G,start=13G --rng";
/// What comes when the guest has booted.
const DIMMS: [&str; 2] = ["d0", "d1"];
const DIMM: u64 = 1 << 30;
const CPUS: u32 = 3;

/// Services come up for minutes in an emulated host.
const PATIENCE: Duration = Duration::from_secs(900);
/// What a test may take longer than its runner lets it.
const GRACE: Duration = Duration::from_secs(60);

/// Where the tests are in the guest: not where the disk is, which cannot be written to.
const DIRECTORY: &str = "/var/tmp/selftests";

/// What is asked of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How long each may take, in seconds.
    pub timeout: u64,
    /// Whether those of Linux are to go through all processors and a tenth of memory, as `make run_full_test` has them.
    pub full: bool,
}

/// A guest that runs tests, once it is asked for the first.
#[derive(Debug)]
pub struct Place<'a> {
    guest: &'a Guest,
    tests: &'a Tests,
    options: Options,
    state: State,
}

#[derive(Debug)]
enum State {
    Off,
    On(Box<TestVm>),
    Lost(String),
}

impl<'a> Place<'a> {
    /// A place where no guest has booted yet.
    #[must_use]
    pub fn new(guest: &'a Guest, tests: &'a Tests, options: Options) -> Self {
        Self { guest, tests, options, state: State::Off }
    }

    /// Runs a test.
    ///
    /// # Errors
    /// Why no guest boots, in words.
    pub fn answer(&mut self, name: &Name) -> Answer {
        if matches!(self.state, State::Off) {
            let vm = self.boot().map_err(|error| crate::chain(&*error))?;
            self.state = State::On(Box::new(vm));
        }
        let begun = Instant::now();
        let vm = match &mut self.state {
            State::On(vm) => vm,
            State::Lost(with) => {
                return Ok(Done::lost(name, format!("the guest was lost with {with}"), "", Duration::ZERO));
            }
            State::Off => unreachable!("it has booted"),
        };
        let before = vm.console().len();
        let command = ["/bin/sh", "-c", &self.options.command(), &name.to_string()].map(str::to_owned);
        match vm.guest().exec(&command, b"") {
            Ok(executed) => {
                let (outcome, output) = tap::read(&String::from_utf8_lossy(&executed.stdout.0));
                Ok(Done { name: name.clone(), outcome, output, seconds: begun.elapsed().as_secs_f64() })
            }
            // It wrote more than can be carried.
            Err(error @ GuestError::Refused(_)) => {
                Ok(Done::lost(name, crate::chain(&error), "", begun.elapsed()))
            }
            Err(error) => {
                let said = last_words(vm, before);
                self.state = State::Lost(name.to_string());
                Ok(Done::lost(name, crate::chain(&error), &said, begun.elapsed()))
            }
        }
    }

    /// Boots, and has what can come and go come.
    fn boot(&self) -> Result<TestVm, Box<dyn std::error::Error>> {
        let directory = tempfile::Builder::new().prefix("dimmer-selftest-").tempdir()?;
        let image = directory.path().join("tests.squashfs");
        pack(&self.tests.directory, &image)?;
        let disk = format!("path={},readonly=on,id=tests", image.display());
        let mut vm = self.guest.setup(CMDLINE).arguments(MACHINE).flag("--disk", disk).boot()?;
        vm.guest().set_patience(PATIENCE);
        // Whatever became of the services: degraded is a system to work with.
        vm.shell("systemctl is-system-running --wait; true")?;
        for id in DIMMS {
            vm.rest.add_dimm(id, DIMM)?;
        }
        vm.rest.tell(Method::PUT, "/vm.resize?wait=60", Some(&json!({"desired_vcpus": CPUS})))?;
        vm.settled()?;
        vm.shell(&self.prepared())?;
        vm.guest().set_patience(Duration::from_secs(self.options.timeout) + GRACE);
        Ok(vm)
    }

    /// Puts the tests where they can write, and says how long each may take. The runner takes what a file says last, whatever its
    /// version.
    fn prepared(&self) -> String {
        let timeout = self.options.timeout;
        let mut script = format!(
            "set -e; mount -o ro /dev/vdc /mnt; cp -a /mnt/. {DIRECTORY}; umount /mnt; cd {DIRECTORY}"
        );
        let mut collections: Vec<_> = self.tests.names.iter().map(|name| &name.collection).collect();
        collections.dedup();
        for collection in collections {
            script += &format!("; printf '\\ntimeout={timeout}\\n' >> '{collection}/settings'");
        }
        script
    }
}

impl Options {
    /// What a shell does to run the test that is its `$0`.
    fn command(self) -> String {
        let all = "KSELFTEST_CPU_ON_OFF_TEST_SH_ARGS=-a KSELFTEST_MEM_ON_OFF_TEST_SH_ARGS='-r 10' ";
        format!("{}exec {DIRECTORY}/{RUNNER} -t \"$0\" 2>&1", if self.full { all } else { "" })
    }
}

/// What the console had to say since it had so many bytes; where that is nothing, what there is to know of the machine.
fn last_words(vm: &TestVm, before: usize) -> String {
    let console = vm.console();
    let new = console.get(before..).unwrap_or_default().trim();
    match new.is_empty() {
        true => vm.context().trim_start().to_owned(),
        false => new.lines().map(|line| printable(line) + "\n").collect(),
    }
}

/// The machine's last audit comes before anything else of it goes.
impl Drop for Place<'_> {
    fn drop(&mut self) {
        let audited = vm::audited(|| {
            self.state = State::Off;
            Ok(())
        });
        if let Err(error) = audited {
            crate::output::complain(format_args!("dimmer-lab: {}", crate::chain(&*error)));
        }
    }
}
