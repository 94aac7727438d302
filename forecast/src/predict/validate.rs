//! Everything that can be wrong with a scenario's text, found without a machine.

use std::path::Path;

use dimmer_oracle::release::Release;

use super::Prediction;
use crate::expect;
use crate::scenario::places::{Places, line};
use crate::scenario::{Addresses, Expect, LATER, Scenario, Step};

/// The releases that a scenario is tried on when it names none.
const RELEASES: [Release; 2] = [Release::new(6, 1), Release::new(6, 12)];

/// Reads a scenario, which errors call `path`, and tries it on the model: its machine, its kernels, what is expected, and
/// that each step can be carried out.
///
/// # Errors
/// What is wrong, a text each, with the file, the line and the key or the step.
pub fn validate(text: &str, path: &Path) -> Result<Scenario, Vec<String>> {
    let scenario = Scenario::parse(text, path).map_err(|error| vec![error.to_string()])?;
    let places = Places::read(text);
    let at = |part: Option<&toml::Spanned<toml::Value>>, problem: String| {
        let line = part.map_or(1, |part| line(text, part));
        format!("{}: line {line}: {problem}", path.display())
    };
    let mut problems = Vec::new();
    let releases = releases(&scenario).unwrap_or_else(|problem| {
        problems.push(at(places.kernels.as_ref(), problem));
        RELEASES.to_vec()
    });
    if let Err(problem) = Addresses::of(&scenario) {
        problems.push(at(places.machine.as_ref(), format!("machine: {problem}")));
        return Err(problems);
    }
    let expectations =
        (0..).zip(&scenario.steps).filter_map(|(index, step)| Some((index, expectation(step)?)));
    let steps = releases.iter().filter_map(|release| tried(&scenario, *release));
    for (index, problem) in expectations.chain(steps) {
        let problem = at(places.step.get(index), format!("step {}: {problem}", index + 1));
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    if problems.is_empty() { Ok(scenario) } else { Err(problems) }
}

fn releases(scenario: &Scenario) -> Result<Vec<Release>, String> {
    if scenario.kernels.is_empty() {
        return Ok(RELEASES.to_vec());
    }
    let release = |name: &String| name.trim_end_matches(LATER).parse::<Release>();
    let read = |name: &String| release(name).map_err(|error| format!("kernels: {error}"));
    scenario.kernels.iter().map(read).collect()
}

/// What is wrong with the texts of an expectation.
fn expectation(step: &Step) -> Option<String> {
    let Some(Expect::Details(expected)) = &step.expect else { return None };
    let blocks = expected.blocks.as_deref().and_then(|text| expect::parse(text).err());
    let blocks = blocks.map(|error| format!("expect: blocks: {error}"));
    blocks.or_else(|| expected.reports().err().map(|problem| format!("expect: {problem}")))
}

/// The first step that cannot be carried out, counted from 0, and why.
fn tried(scenario: &Scenario, release: Release) -> Option<(usize, String)> {
    let mut model = match Prediction::new(scenario, release) {
        Ok(model) => model,
        Err(problem) => return Some((0, problem)),
    };
    (0..).zip(&scenario.steps).find_map(|(index, step)| Some((index, model.apply(&step.action()).err()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"shows = "A DIMM comes and goes"
kernels = ["6.12"]

[machine]
memory_hotplug = ["method=acpi,slots=4,size=8G"]

[[step]]
plug = { id = "d0", size = "1G" }
expect = { blocks = "48-55 Movable", ost = "1,0" }

[[step]]
unplug = "d0"
"#;

    fn problems(from: &str, to: &str) -> Vec<String> {
        assert!(TEXT.contains(from), "{from}");
        validate(&TEXT.replace(from, to), Path::new("a.toml")).err().unwrap_or_default()
    }

    #[test]
    fn a_good_scenario_has_no_problems() {
        assert_eq!(problems("d0", "d1"), [""; 0]);
    }

    #[test]
    fn a_step_that_happens_again_is_wrong_where_it_stands() {
        let again = "unplug = \"d0\"\n\n[[step]]\nagain = { steps = 2, times = 1 }\n\n[[step]]\nagain = { steps = 1, times = 1 }";
        let problems = problems("unplug = \"d0\"", again);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("a.toml: line 11: step 5: "), "{problems:?}");
    }

    #[test]
    fn what_is_wrong_is_said_with_line_and_key() {
        for (from, to, line, key) in [
            ("ost = \"1,0\"", "oost = \"1,0\"", 9, "oost"),
            ("ost = \"1,0\"", "ost = \"1;0\"", 7, "ost"),
            ("48-55 Movable", "48-55", 7, "blocks"),
            ("48-55 Movable", "48-55 Moveable", 7, "48-55 Moveable"),
            ("size = \"1G\"", "ranges = \"1G~16777215T+1G\"", 7, "not free"),
            ("unplug = \"d0\"", "unplug = \"d1\"", 11, "d1"),
            ("unplug = \"d0\"", "unplug = \"d0\"\nreboot = {}", 11, "exactly one of"),
            ("size = \"1G\"", "size = \"9G\"", 7, "not free"),
            ("size = \"1G\"", "size = \"200M\"", 7, "multiple of 128 MiB"),
            ("size = \"1G\"", "size = \"1G\", node = 1", 7, "node"),
            ("size = \"1G\"", "size = \"1G\", count = 5", 7, "all 4 slots"),
            ("size=8G\"]", "size=8G\", \"method=virtio-mem,id=d0,size=1G\"]", 7, "another memory device"),
            ("unplug = \"d0\"", "plug = { id = \"d0\", size = \"1G\" }", 11, "another memory device"),
            ("slots=4", "slotz=4", 4, "slotz"),
            ("[\"6.12\"]", "[\"six\"]", 2, "six"),
            ("size = \"1G\"", "size = \"1Q\"", 8, "1Q"),
        ] {
            let found = problems(from, to);
            assert_eq!(found.len(), 1, "{to}: {found:?}");
            let problem = &found[0];
            assert!(problem.starts_with("a.toml: ") && problem.contains(key), "{to}: {problem}");
            assert!(problem.contains(&format!("line {line}")), "{to}: {problem}");
        }
    }

    #[test]
    fn the_library_is_valid_and_as_the_schema_says() {
        let schema = jsonschema::validator_for(&Scenario::schema()).unwrap();
        for source in crate::library::library().unwrap() {
            let file =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios").join(source.name + ".toml");
            let text = std::fs::read_to_string(&file).unwrap();
            assert_eq!(validate(&text, &file).err(), None);
            let value: serde_json::Value = toml::from_str(&text).unwrap();
            let errors: Vec<String> = schema.iter_errors(&value).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{}: {errors:?}", file.display());
        }
    }

    #[test]
    fn the_schema_refuses_what_the_parser_refuses() {
        let schema = jsonschema::validator_for(&Scenario::schema()).unwrap();
        let valid = |text: &str| schema.is_valid(&toml::from_str::<serde_json::Value>(text).unwrap());
        assert!(valid(TEXT));
        for (from, to) in [("ost =", "oost ="), ("\"1G\"", "\"1Q\""), ("shows", "show"), ("unplug", "plug")] {
            let text = TEXT.replacen(from, to, 1).replace("plug = \"d0\"", "plug = 3");
            assert!(!valid(&text) && Scenario::parse(&text, Path::new("a")).is_err(), "{to}");
        }
    }
}
