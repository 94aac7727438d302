//! `dimmer-lab explain`: the rule and the numbers that put a memory block where it is.

use std::process::ExitCode;

use crate::predict::{Explanation, changes, explain};
use clap::Args;

use super::question::Question;
use crate::output::say;

/// `dimmer-lab explain`
#[derive(Debug, Args)]
pub struct Explain {
    #[command(flatten)]
    question: Question,
    /// The memory block.
    #[arg(long, value_name = "INDEX")]
    block: u64,
    /// Only after this step, 0 for the boot [default: whenever something changes].
    #[arg(long, value_name = "K")]
    step: Option<usize>,
}

impl Explain {
    /// Prints what the block shows and why.
    pub fn run(&self) -> super::Result {
        let (kernel, all) =
            self.question.ask(|scenario, release| Ok((release, explain(scenario, release, self.block)?)))?;
        let last = all.len() - 1;
        let wanted = match self.step {
            None => changes(all),
            Some(step) => all.into_iter().filter(|found| found.step == step).collect(),
        };
        if wanted.is_empty() {
            return Err(format!("--step: the scenario's last step is {last}").into());
        }
        say(format_args!("block {} on {kernel}", self.block))?;
        for Explanation { step, action, shows, why } in wanted {
            let step = if step == 0 { action } else { format!("step {step} ({action})") };
            say(format_args!("  {step}: {shows}\n    {why}"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
