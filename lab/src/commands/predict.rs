//! `dimmer-lab predict`: what the oracle says about a scenario, without a machine.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use dimmer_lab::predict::forecast::{Moment, forecast, json, text};
use dimmer_lab::scenario::Scenario;
use serde_json::{Value, json};

use super::question::Question;

/// `dimmer-lab predict`
#[derive(Debug, Args)]
pub struct Predict {
    #[command(flatten)]
    question: Question,
    /// Print all of memory after each step as JSON, instead of what changes as text.
    #[arg(long)]
    json: bool,
}

impl Predict {
    /// Prints memory after the boot and what each step does to it.
    pub fn run(&self) -> super::Result {
        let answer = |scenario: &Scenario| if self.json { self.json(scenario) } else { self.text(scenario) };
        std::io::stdout().write_all(self.question.ask(answer)?.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }

    fn text(&self, scenario: &Scenario) -> Result<String, Box<dyn Error>> {
        let mut all = String::new();
        forecast(scenario, self.question.kernel, |moment: Moment<'_>| {
            text::write(&moment, &mut all).map_err(Box::<dyn Error>::from)
        })?;
        Ok(all)
    }

    fn json(&self, scenario: &Scenario) -> Result<String, Box<dyn Error>> {
        let mut block_size = 0;
        let mut steps: Vec<Value> = Vec::new();
        forecast(scenario, self.question.kernel, |moment: Moment<'_>| {
            block_size = moment.model.linux.memory.block_size();
            steps.push(json::value(&moment));
            Ok::<_, Box<dyn Error>>(())
        })?;
        let all =
            json!({"kernel": self.question.kernel.to_string(), "block_size": block_size, "steps": steps});
        Ok(format!("{all:#}\n"))
    }
}
