//! `dimmer-lab predict`: what the oracle says about a scenario, without a machine.

use std::process::ExitCode;

use clap::Args;
use dimmer_lab::library::find;
use dimmer_lab::oracle::release::Release;
use dimmer_lab::oracle::verdict;
use dimmer_lab::scenario::{BlockSet, Effect, Prediction};

/// `dimmer-lab predict`
#[derive(Debug, Args)]
pub struct Predict {
    /// The scenario: a file, or a name of the library's.
    #[arg(value_name = "SCENARIO")]
    scenario: String,
    /// Release of the guest's kernel.
    #[arg(long, value_name = "RELEASE", default_value = "6.12")]
    kernel: Release,
}

impl Predict {
    /// Prints the blocks after the boot and after each step.
    pub fn run(&self) -> super::Result {
        let [source] = &find(&self.scenario)?[..] else {
            return Err(format!("{} holds several scenarios; name one of them", self.scenario).into());
        };
        let scenario = &source.scenario;
        let mut model = Prediction::new(scenario, self.kernel)?;
        println!("boot");
        print(&model, &Effect::default());
        for (number, step) in (1..).zip(&scenario.steps) {
            let action = step.action();
            let effect = model.apply(&action).map_err(|problem| format!("step {number}: {problem}"))?;
            println!("step {number}: {}", action.name());
            print(&model, &effect);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print(model: &Prediction, effect: &Effect) {
    for (first, last, shown) in verdict::runs(&model.linux.memory) {
        let range = if first == last { first.to_string() } else { format!("{first}-{last}") };
        println!("  {range:<12} {shown}");
    }
    for (source, status) in &effect.ost {
        println!("  _OST({source:#x}, {status:#x})");
    }
    if let Some(plugged) = effect.plugged {
        println!("  plugged {} MiB", plugged >> 20);
    }
    for (index, errno) in &effect.refused {
        println!("  block {index}: {errno}");
    }
    if !effect.open.is_empty() {
        let blocks = BlockSet(effect.open.clone());
        println!("  open: {blocks} may also stay online; that all of it can be moved is assumed");
    }
}
