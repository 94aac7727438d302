//! `dimmer-lab explain`: the rule and the numbers that put a memory block where it is.

use std::error::Error;
use std::process::ExitCode;

use clap::Args;
use dimmer_lab::library::find;
use dimmer_lab::oracle::release::Release;
use dimmer_lab::scenario::{Explanation, changes, explain};

/// `dimmer-lab explain`
#[derive(Debug, Args)]
pub struct Explain {
    /// The scenario: a file, or a name of the library's.
    #[arg(value_name = "SCENARIO")]
    scenario: String,
    /// The memory block.
    #[arg(long, value_name = "INDEX")]
    block: u64,
    /// Only after this step, 0 for the boot [default: whenever something changes].
    #[arg(long, value_name = "K")]
    step: Option<usize>,
    /// Release of the guest's kernel.
    #[arg(long, value_name = "RELEASE", default_value = "6.12")]
    kernel: Release,
}

impl Explain {
    /// Prints what the block shows and why.
    pub fn run(&self) -> super::Result {
        let [source] = &find(&self.scenario)?[..] else {
            return Err(format!("{} holds several scenarios; name one of them", self.scenario).into());
        };
        let all = explain(&source.scenario, self.kernel, self.block);
        let all =
            all.map_err(|error| source.validate().err().map_or(error.into(), Box::<dyn Error>::from))?;
        let last = all.len() - 1;
        let wanted = match self.step {
            None => changes(all),
            Some(step) => all.into_iter().filter(|found| found.step == step).collect(),
        };
        if wanted.is_empty() {
            return Err(format!("--step: the scenario's last step is {last}").into());
        }
        println!("block {} on {}", self.block, self.kernel);
        for Explanation { step, action, shows, why } in wanted {
            let step = if step == 0 { action } else { format!("step {step} ({action})") };
            println!("  {step}: {shows}\n    {why}");
        }
        Ok(ExitCode::SUCCESS)
    }
}
