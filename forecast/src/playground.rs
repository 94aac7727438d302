//! A scenario's text in, all of its memory after each step out: what `dimmer-lab predict` says, with what a page draws of it.
//!
//! It needs no machine and keeps nothing, and it is pure: text in, text out.

use std::path::Path;

use dimmer_oracle::release::Release;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::library::texts;
use crate::map::model::{Asked, seen};
use crate::predict::forecast::{Moment, forecast, json, text};
use crate::predict::{changes, explain, release, usual, validate};
use crate::scenario::{Addresses, Scenario};

mod sample;
mod shown;

pub use sample::Sample;
pub use shown::{Shown, legend};

/// Most memory that a machine may have here, in bytes: a page draws every block.
const MOST: u64 = 8 << 40;
/// Most that an answer may be long, in bytes.
const LONGEST: usize = 16 << 20;
/// Most bytes of a question.
pub const QUESTION: usize = 64 << 10;
/// What errors call the text.
const NAME: &str = "scenario";

/// A question.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The scenario's text.
    scenario: String,
    /// The release that it is asked about; 6.12, or the first that the scenario is about, if not said.
    #[serde(default)]
    kernel: Option<String>,
    /// The block that is to be explained, instead of all that happens.
    #[serde(default)]
    block: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Step {
    #[serde(flatten)]
    said: Value,
    /// What changes, as `dimmer-lab predict` prints it.
    text: String,
    shown: Shown,
    sample: Sample,
}

/// The answer to a question, both as JSON; to one that has none `{"problems": […]}`.
pub fn answer(question: &str) -> String {
    let answer = match serde_json::from_str::<Question>(question) {
        Ok(question) => question.answer(),
        Err(error) => Err(vec![format!("the question cannot be read: {error}")]),
    };
    answer.unwrap_or_else(|problems| json!({ "problems": problems })).to_string()
}

/// The library of scenarios as JSON, and what the letters of a map mean.
pub fn library() -> String {
    let all: Vec<Value> = texts().map(|(name, text)| json!({"name": name, "text": text})).collect();
    json!({"scenarios": all, "legend": legend()}).to_string()
}

impl Question {
    fn answer(&self) -> Result<Value, Vec<String>> {
        let path = Path::new(NAME);
        let scenario = Scenario::parse(&self.scenario, path).map_err(|error| vec![error.to_string()])?;
        let release = self.release(&scenario).map_err(|problem| vec![problem])?;
        let answer = match self.block {
            Some(block) => explained(&scenario, release, block),
            None => predicted(&scenario, release),
        };
        answer.map_err(|problem| validate(&self.scenario, path).err().unwrap_or_else(|| vec![problem]))
    }

    /// One that somebody names may also be one that the scenario is not about: what it expects then need not come.
    fn release(&self, scenario: &Scenario) -> Result<Release, String> {
        match &self.kernel {
            Some(kernel) => release(kernel).map_err(|error| format!("kernel: {error}")),
            None => usual(scenario, None),
        }
    }
}

fn explained(scenario: &Scenario, release: Release, block: u64) -> Result<Value, String> {
    let all: Vec<Value> = changes(explain(scenario, release, block)?)
        .into_iter()
        .map(|one| json!({"step": one.step, "action": one.action, "shows": one.shows, "why": one.why}))
        .collect();
    Ok(json!({"kernel": release.to_string(), "block": block, "changes": all}))
}

fn predicted(scenario: &Scenario, release: Release) -> Result<Value, String> {
    if Addresses::of(scenario)?.size() > MOST {
        return Err(
            "machine: it can have more than 8 TiB, of which a page draws no map; `dimmer-lab predict` \
                    takes it"
                .to_owned(),
        );
    }
    let (mut asked, mut steps, mut length, mut block_size) = (Asked::default(), Vec::new(), 0, 0);
    forecast(scenario, release, |moment: Moment<'_>| {
        block_size = moment.model.linux.memory.block_size();
        let step = Step::of(&moment, &mut asked)?;
        let step = serde_json::to_value(step).map_err(|error| error.to_string())?;
        length += step.to_string().len();
        steps.push(step);
        if length > LONGEST { Err(format!("step {}: there is too much to say", moment.step)) } else { Ok(()) }
    })?;
    let mut answer = json!({"kernel": release.to_string(), "block_size": block_size, "steps": steps});
    if !scenario.is_about(release) {
        answer["remark"] = json!(format!("the scenario is about {}", scenario.kernels.join(", ")));
    }
    Ok(answer)
}

impl Step {
    fn of(moment: &Moment<'_>, asked: &mut Asked) -> Result<Self, String> {
        if matches!(moment.action, "boot" | "reboot" | "kexec" | "crash") {
            asked.clear();
        }
        asked.add(&moment.effect.requests);
        let seen = seen(moment.model, asked);
        let mut words = String::new();
        text::write(moment, &mut words).map_err(|error| error.to_string())?;
        let number = moment.step as u64;
        let sample = Sample::of(&seen, number, number);
        Ok(Self { said: json::value(moment), text: words, shown: Shown::of(&seen), sample })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(question: Value) -> Value {
        serde_json::from_str(&answer(&question.to_string())).unwrap()
    }

    /// What `dimmer-lab predict --json` says of a scenario of the library is what the playground says.
    #[test]
    fn the_playground_says_of_the_library_what_predict_says() {
        for source in crate::library::library().unwrap() {
            let name = &source.name;
            let text = texts().find(|(other, _)| other == name).unwrap().1;
            let release = usual(&source.scenario, None).unwrap();
            let mut answer = asked(json!({"scenario": text}));
            for step in answer["steps"].as_array_mut().unwrap_or_else(|| panic!("{name}")) {
                let step = step.as_object_mut().unwrap();
                let taken = ["text", "shown", "sample"].map(|key| step.remove(key));
                assert!(taken.iter().all(Option::is_some), "{name}");
            }
            let expected: Value =
                serde_json::from_str(&json::document(&source.scenario, release).unwrap().to_string())
                    .unwrap();
            assert_eq!(answer, expected, "{name}");
        }
    }

    /// The map that the page draws has each block as the forecast has it.
    #[test]
    fn the_map_of_the_library_is_what_the_forecast_says() {
        for (name, text) in texts() {
            let answer = asked(json!({"scenario": text}));
            for step in answer["steps"].as_array().unwrap() {
                let mut drawn = std::collections::BTreeMap::new();
                let nodes = step["shown"]["nodes"].as_array().unwrap();
                let strips = nodes.iter().flat_map(|node| node["strips"].as_array().unwrap());
                for run in strips.flat_map(|strip| strip["runs"].as_array().unwrap()) {
                    let (first, last) = (run[0].as_u64().unwrap(), run[1].as_u64().unwrap());
                    drawn.extend((first..=last).map(|index| (index, run[2].as_str().unwrap().to_owned())));
                }
                for run in step["blocks"].as_array().unwrap() {
                    for index in run["first"].as_u64().unwrap()..=run["last"].as_u64().unwrap() {
                        let zone = run["zones"][0].as_str().unwrap();
                        let capital = if zone == "none" { "-" } else { &zone[..1] };
                        let letter = drawn.remove(&index).unwrap_or_else(|| panic!("{name}: {index}"));
                        let fits = match run["state"].as_str().unwrap() {
                            "online" => [capital, "%", "X"].contains(&letter.as_str()),
                            "offline" => [&capital.to_ascii_lowercase(), "X"].contains(&letter.as_str()),
                            _ => ["g", "X"].contains(&letter.as_str()),
                        };
                        assert!(fits, "{name}, step {}: block {index} is {letter}, not {run}", step["step"]);
                    }
                }
                assert!(drawn.values().all(|letter| "·!".contains(letter.as_str())), "{name}: {drawn:?}");
            }
        }
    }

    #[test]
    fn parts_of_blocks_and_broken_pages_are_drawn() {
        let letters = |name: &str| {
            let text = texts().find(|(other, _)| *other == name).unwrap().1;
            let answer = asked(json!({"scenario": text}));
            let all =
                answer["steps"].as_array().unwrap().iter().map(|step| step["shown"]["nodes"].to_string());
            all.collect::<String>()
        };
        assert!(letters("27-parts-of-a-block").contains("\"%\""));
        assert!(letters("66-a-broken-page-stays-with-its-block").contains("\"X\""));
    }

    #[test]
    fn a_block_is_explained() {
        let text = texts().find(|(name, _)| *name == "01-six-dimms-at-ratio-301").unwrap().1;
        let answer = asked(json!({"scenario": text, "kernel": "6.12", "block": 144}));
        assert_eq!(answer["changes"][1]["shows"], "Normal");
        assert!(answer["changes"][1]["why"].as_str().unwrap().contains("> 301 %"));
    }

    #[test]
    fn a_kernel_that_the_scenario_is_not_about_is_remarked_on() {
        let answer = asked(json!({"scenario": "shows = \"\"\nkernels = [\"6.1\"]", "kernel": "6.12"}));
        assert_eq!(
            (&answer["kernel"], &answer["remark"]),
            (&json!("6.12"), &json!("the scenario is about 6.1"))
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_line_and_key() {
        for (question, why) in [
            (json!({"scenario": "shows = 1"}), "line 1"),
            (
                json!({"scenario": "shows = \"\"\n[machine]\nmemori = \"size=4G\""}),
                "unknown field `memori`, expected",
            ),
            (
                json!({"scenario": "shows = \"\"\n[[step]]\nunplug = \"d0\""}),
                "line 2: step 1: unplug: there is no DIMM",
            ),
            (json!({"scenario": "shows = \"\"", "kernel": "new"}), "kernel: \"new\" is not a release"),
            (json!({"scenario": "shows = \"\"", "kernel": "5.4"}), "from 5.10 on"),
            (
                json!({"scenario": "shows = \"\"\n[machine]\nmemory_hotplug = [\"method=acpi,slots=1,size=16T\"]"}),
                "8 TiB",
            ),
            (json!({"text": ""}), "unknown field `text`"),
        ] {
            let answer = asked(question.clone());
            let problems = answer["problems"].as_array().unwrap_or_else(|| panic!("{question}: {answer}"));
            assert!(problems[0].as_str().unwrap().contains(why), "{question}: {problems:?}");
        }
    }
}
