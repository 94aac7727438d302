//! `dimmer-lab predict`: what the oracle says about a scenario, without a machine.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use dimmer_lab::library::find;
use dimmer_lab::oracle::release::Release;
use dimmer_lab::scenario::Scenario;
use dimmer_lab::scenario::forecast::{Moment, forecast, json, text};
use serde_json::{Value, json};

/// `dimmer-lab predict`
#[derive(Debug, Args)]
pub struct Predict {
    /// The scenario: a file, or a name of the library's.
    #[arg(value_name = "SCENARIO")]
    scenario: String,
    /// Release of the guest's kernel.
    #[arg(long, value_name = "RELEASE", default_value = "6.12")]
    kernel: Release,
    /// Print all of memory after each step as JSON, instead of what changes as text.
    #[arg(long)]
    json: bool,
}

impl Predict {
    /// Prints memory after the boot and what each step does to it.
    pub fn run(&self) -> super::Result {
        let [source] = &find(&self.scenario)?[..] else {
            return Err(format!("{} holds several scenarios; name one of them", self.scenario).into());
        };
        let output = if self.json { self.json(&source.scenario) } else { self.text(&source.scenario) };
        // Whoever wrote the scenario looks for lines, not for steps alone.
        let output = output.map_err(|error| source.validate().err().map_or(error, Into::into))?;
        std::io::stdout().write_all(output.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }

    fn text(&self, scenario: &Scenario) -> Result<String, Box<dyn Error>> {
        let mut all = String::new();
        forecast(scenario, self.kernel, |moment: Moment<'_>| {
            text::write(&moment, &mut all).map_err(Box::<dyn Error>::from)
        })?;
        Ok(all)
    }

    fn json(&self, scenario: &Scenario) -> Result<String, Box<dyn Error>> {
        let mut block_size = 0;
        let mut steps: Vec<Value> = Vec::new();
        forecast(scenario, self.kernel, |moment: Moment<'_>| {
            block_size = moment.model.linux.memory.block_size();
            steps.push(json::value(&moment));
            Ok::<_, Box<dyn Error>>(())
        })?;
        let all = json!({"kernel": self.kernel.to_string(), "block_size": block_size, "steps": steps});
        Ok(format!("{all:#}\n"))
    }
}
