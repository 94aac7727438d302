//! `dimmer-lab check`: scenarios on real guests, held against the oracle and against what their authors wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use dimmer_images::{Cache, Kernel, fetch};
use dimmer_lab::scenario::Scenario;
use dimmer_lab::scenario::check::{Verdict, check};
use dimmer_lab::{chain, host, vm};

/// `dimmer-lab check`
#[derive(Debug, Args)]
pub struct Check {
    /// Scenario files.
    #[arg(required = true, value_name = "SCENARIO")]
    scenarios: Vec<PathBuf>,
    /// Name or path of a kernel (may be repeated).
    #[arg(long, value_name = "KERNEL", default_values = ["6.1", "6.12"])]
    kernel: Vec<String>,
}

impl Check {
    /// Ends with 0 when everything is as expected, else with 1.
    pub fn run(&self) -> super::Result {
        let scenarios =
            self.scenarios.iter().map(|path| Scenario::read(path)).collect::<Result<Vec<_>, _>>()?;
        let kernels = self.kernels(&scenarios)?;
        host::reexec_if_needed();
        let mut right = true;
        for (path, scenario) in self.scenarios.iter().zip(&scenarios) {
            let wanted = self.kernel.iter().map(|name| &kernels[scenario.kernel(name)]);
            for kernel in wanted.filter(|kernel| scenario.is_about(&kernel.name)) {
                let verdict = vm::audited(|| Ok(check(scenario, kernel)?));
                right &= matches!(&verdict, Ok(verdict) if verdict.failures.is_empty());
                println!("{} on {}: {}", path.display(), kernel.name, words(&verdict));
            }
        }
        Ok(ExitCode::from(u8::from(!right)))
    }

    /// The kernels that these scenarios boot, by name, with their initramfs, made on this machine: inside an emulated
    /// host nothing that is made stays.
    fn kernels(
        &self,
        scenarios: &[Scenario],
    ) -> Result<BTreeMap<String, Kernel>, Box<dyn std::error::Error>> {
        let boots =
            |scenario: &Scenario| self.kernel.iter().map(|name| scenario.kernel(name).to_owned()).collect();
        let names: BTreeSet<String> = scenarios.iter().flat_map::<Vec<_>, _>(boots).collect();
        let words: Vec<&str> = names.iter().map(String::as_str).collect();
        let kernels = fetch(&Cache::open()?, &words, false)?;
        for kernel in &kernels {
            dimmer_images::initramfs(kernel)?;
        }
        Ok(names.into_iter().zip(kernels).collect())
    }
}

/// What a check found, in words.
fn words(verdict: &Result<Verdict, Box<dyn std::error::Error>>) -> String {
    match verdict {
        Err(error) => format!("failed: {}", chain(error.as_ref())),
        Ok(verdict) if verdict.failures.is_empty() => format!("{} steps as expected", verdict.steps),
        Ok(verdict) => {
            let lines = verdict.failures.iter().flat_map(|failure| {
                failure.lines.iter().map(move |line| format!("\n  step {}: {line}", failure.step))
            });
            format!("not as expected{}", lines.collect::<String>())
        }
    }
}
