//! `dimmer-lab selftest`: the kernel's own selftests of memory and processors that come and go, in a guest.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::distribution::Guest;
use crate::host::crew::{self, Crew};
use crate::kselftest::place::{DISTRIBUTION, Options, PACKAGES, Place};
use crate::kselftest::report::{Format, Report};
use crate::kselftest::{self, Name, Tests, tap};
use crate::output::{complain, say, stdout};
use clap::Args;
use dimmer_images::{Cache, fetch};

/// Runs the kernel's own selftests of memory and processors in a guest of that kernel, on a machine to which DIMMs and a processor
/// have come, and prints TAP. They are fetched with the kernel's source from Debian.
///
/// It ends with 0 when every test is ok or skipped, 1 when one is not ok, and 2 when nothing could be tested.
#[derive(Debug, Args)]
pub struct Selftest {
    /// Tests (COLLECTION:TEST), or all of a collection (default: all)
    #[arg(value_name = "TEST")]
    wanted: Vec<String>,
    /// Name of the kernel, or the path of one (`PATH[,modules=DIR]`), which needs --tests
    #[arg(long, value_name = "KERNEL", default_value = "6.12")]
    kernel: String,
    /// Run the selftests in this directory, as `make install` makes it, and not Debian's of the same kernel
    #[arg(long, value_name = "DIR")]
    tests: Option<PathBuf>,
    /// Put every processor and a tenth of memory offline, and not one processor and one block in fifty
    #[arg(long)]
    full: bool,
    /// Seconds that each test may take
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Write a report to this file, too
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// How the report is written
    #[arg(long, value_enum, default_value_t = Format::Tap, requires = "report")]
    format: Format,
    /// Print the names of the tests, and run none
    #[arg(long)]
    list: bool,
    /// Run tests that standard input names: the part that runs on the host with KVM
    #[arg(long, hide = true)]
    worker: bool,
}

impl Selftest {
    /// See [`Selftest`].
    ///
    /// # Errors
    /// When kernel, distribution or tests cannot be had, the report cannot be written, or no guest boots.
    pub fn run(self) -> super::Result {
        let cache = Cache::open()?;
        let kernel = fetch(&cache, &[&self.kernel], false)?.remove(0);
        let all = match &self.tests {
            Some(directory) => Tests::within(directory)?,
            None => Tests::of(&cache, &kernel)?,
        };
        let all = if self.full { all.with_arguments()? } else { all };
        let tests = all.only(&self.wanted)?;
        if self.list {
            tests.names.iter().try_for_each(|name| say(format_args!("{name}")))?;
            return Ok(ExitCode::SUCCESS);
        }
        let guest = Guest::with(&cache, DISTRIBUTION, Some(&self.kernel), &PACKAGES)?;
        let options = Options { timeout: self.timeout, full: self.full };
        if self.worker {
            crew::serve(|| {
                let mut place = Place::new(&guest, &tests, options);
                move |name: Name| place.answer(&name)
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        self.test(&kernel.release, &tests)
    }

    fn test(&self, kernel: &str, tests: &Tests) -> super::Result {
        if let Some(path) = &self.report {
            // That it cannot be written is better known before than after.
            fs::write(path, "").map_err(|error| format!("--report {}: {error}", path.display()))?;
        }
        let crew = Crew::new(self.worker_arguments(), 1, 1)?;
        let crew = crew.with_patience(crew::PATIENCE + Duration::from_secs(self.timeout));
        let mut report = Report { kernel: kernel.to_owned(), tests: Vec::new() };
        for name in &tests.names {
            let done = kselftest::run(&crew, name)?;
            if report.tests.is_empty() {
                write!(stdout(), "{}", tap::head(tests.names.len()))?;
            }
            report.tests.push(done);
            let number = report.tests.len();
            write!(stdout(), "{}", tap::test(number, &report.tests[number - 1]))?;
        }
        complain(format_args!("{}", report.verdict()));
        if let Some(path) = &self.report {
            let text = report.write(self.format)?;
            fs::write(path, text).map_err(|error| format!("--report {}: {error}", path.display()))?;
        }
        Ok(report.status().into())
    }

    /// What the worker is told: what this was, but for the report.
    fn worker_arguments(&self) -> Vec<std::ffi::OsString> {
        let mut words: Vec<std::ffi::OsString> =
            ["selftest", "--worker", "--kernel", &self.kernel].map(Into::into).into();
        words.extend(["--timeout".into(), self.timeout.to_string().into()]);
        words.extend(self.tests.iter().flat_map(|directory| ["--tests".into(), directory.clone().into()]));
        words.extend(self.full.then(|| "--full".into()));
        words.extend(self.wanted.iter().map(Into::into));
        words
    }
}
