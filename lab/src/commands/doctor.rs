//! `dimmer-lab doctor`: what this host is and what it lacks; and, if that is asked for, whether guests do well on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::host::crew::{self, Crew};
use crate::host::detect;
use crate::host::doctor::{self, State};
use crate::output::{complain, stdout};
use crate::selftest::place::Place;
use crate::selftest::report::{Format, Report};
use crate::selftest::{self, Answer, Done, Outcome, PATIENCE, Task, facts};
use clap::Args;
use dimmer_images::{Cache, Kernel, fetch};
use std::io::Write;

/// Says what this host is, what is missing, and the exact command that fixes it. Ends with 0 when all is there, else 2.
///
/// With --run it also boots a guest, has memory come and go, takes a snapshot, restores it, forks, and writes a report for bug
/// reports. It ends with 0 when every step passed, 1 when one did not, and 2 when the host cannot run guests.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Test the host with a guest; takes less than five minutes
    #[arg(long)]
    run: bool,
    /// Write the report to this file, and not to standard output
    #[arg(long, value_name = "FILE", requires = "run")]
    report: Option<PathBuf>,
    /// How the report is written
    #[arg(long, value_enum, default_value_t = Format::Text, requires = "run")]
    format: Format,
    /// Name of the guest's kernel, or the path of one (`PATH[,modules=DIR]`)
    #[arg(long, value_name = "KERNEL", default_value = "6.12", requires = "run")]
    kernel: String,
    /// Carry out steps from standard input: the part that runs on the host with KVM
    #[arg(long, hide = true)]
    worker: bool,
}

impl Doctor {
    /// See [`Doctor`].
    ///
    /// # Errors
    /// With --run, when there is no kernel, or the report cannot be written. Else none: what goes wrong is part of the report.
    pub fn run(&self) -> super::Result {
        if self.run || self.worker {
            return self.test();
        }
        let report = doctor::examine();
        write!(stdout(), "{report}")?;
        Ok(if report.is_fine() { 0 } else { 2 }.into())
    }

    fn test(&self) -> super::Result {
        let kernels = fetch(&Cache::open()?, &[&self.kernel], false)?;
        dimmer_images::initramfs(&kernels[0])?;
        if self.worker {
            return Self::work(&kernels[0]);
        }
        if let Some(path) = &self.report {
            // That it cannot be written is better known before than after.
            fs::write(path, "").map_err(|error| format!("--report {}: {error}", path.display()))?;
        }
        let arguments = ["doctor", "--run", "--worker", "--kernel", &self.kernel].map(Into::into);
        let crew = Crew::new(arguments, 1, 1)?.with_patience(PATIENCE);
        let tested = selftest::run(
            |task| selftest::carry_out(&crew, task),
            |Done { name, outcome, time }| {
                let word = match outcome {
                    Outcome::Passed { .. } => "passed",
                    Outcome::Failed { .. } => "FAILED",
                    Outcome::LeftOut { .. } => "left out",
                };
                complain(format_args!("{name}: {word} ({:.1} s)", time.as_secs_f64()));
            },
        );
        let report = Self::report(tested);
        let text = report.write(self.format);
        match &self.report {
            Some(path) => {
                fs::write(path, text).map_err(|error| format!("--report {}: {error}", path.display()))?;
                complain(format_args!("{} The report is {}", report.verdict(), path.display()));
            }
            None => write!(stdout(), "{text}")?,
        }
        Ok(report.tested.status().into())
    }

    fn report(tested: selftest::Tested) -> Report {
        let kvm = detect::here();
        let (here, place) = match kvm.is_hardware() {
            true => (Vec::new(), "this machine".to_owned()),
            false => {
                let place = format!("an emulated host (QEMU without acceleration): {kvm}");
                (facts::of_a_machine(Path::new("/")), place)
            }
        };
        Report { here, lacks: Self::lacks(&tested), place, tested }
    }

    /// What may keep this machine from running guests, where it runs none.
    fn lacks(tested: &selftest::Tested) -> Vec<String> {
        let findings = if tested.hopeless.is_some() { doctor::examine().findings } else { Vec::new() };
        let odd = findings.into_iter().filter(|it| it.state != State::Fine);
        odd.map(|it| format!("{}: {}", it.name, it.seen)).collect()
    }

    fn work(kernel: &Kernel) -> super::Result {
        crew::serve(|| {
            let mut place = Place::new(kernel, "");
            move |task: Task| match &mut place {
                Ok(place) => place.answer(task),
                Err(error) => Answer::Cannot(format!("there can be no directory for a snapshot: {error}")),
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
