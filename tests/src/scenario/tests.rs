//! The format of scenarios, and the library held against the oracle.

use super::*;

const TEXT: &str = r#"
shows = "Three of six DIMMs are movable"
kernels = ["6.1", "6.12"]

[machine]
memory_hotplug = ["method=acpi,slots=16,size=64G"]

[guest]
auto_movable_ratio = 300

[[step]]
plug = { id = "d", count = 6, size = "4G" }
expect = { blocks = "48-111 Movable, 112-239 Normal", ost = "1,0 1,0" }

[[step]]
offline = "60,62-63"
expect = "oracle"

[[step]]
reboot = {}
"#;

fn parse(text: &str) -> Result<Scenario, String> {
    Scenario::parse(text, Path::new("a.toml")).map_err(|error| error.to_string())
}

#[test]
fn a_scenario_is_read_and_written() {
    let scenario = parse(TEXT).unwrap();
    assert_eq!(
        scenario.machine.arguments()[2..],
        ["--memory", "size=4G,low=2G", "--memory-hotplug", "method=acpi,slots=16,size=64G"]
    );
    let Action::Plug(plug) = scenario.steps[0].action() else { panic!("the first step plugs") };
    assert_eq!((plug.ids().len(), plug.ids()[5].as_str(), plug.size), (6, "d5", Some(Size(4 << 30))));
    let Some(Expect::Details(expected)) = &scenario.steps[0].expect else { panic!("it has details") };
    assert_eq!(expected.reports().unwrap().unwrap(), [(1, 0), (1, 0)]);
    let Action::Offline(blocks) = scenario.steps[1].action() else {
        panic!("the second takes blocks offline")
    };
    assert_eq!(blocks.to_string(), "60,62-63");
    assert_eq!(parse(&scenario.to_toml()).unwrap(), scenario);
}

#[test]
fn a_release_before_the_first_is_no_guess() {
    let scenario = parse(TEXT).unwrap();
    assert!(Prediction::new(&scenario, Release::FIRST).is_ok());
    let error = Prediction::new(&scenario, Release::new(5, 9)).unwrap_err();
    assert_eq!(error, "the oracle knows Linux from 5.10 on, not 5.9");
}

#[test]
fn errors_name_the_line_and_the_key() {
    for (from, to, expected) in [
        ("ratio = 300", "ration = 300", "auto_movable_ration"),
        ("4G\" }", "4Q\" }", "is not a size"),
        ("offline = \"60,", "offline = \"x,", "is not a block"),
        ("reboot = {}", "reboot = {}\nunplug = \"d0\"", "step 3: it must have exactly one of"),
        ("size = \"4G\"", "node = 1", "step 1: plug: it must have either"),
        ("count = 6", "count = 4000000000", "step 1: plug: `count` must be 1 to 1024"),
    ] {
        let error = parse(&TEXT.replace(from, to)).unwrap_err();
        assert!(error.starts_with("a.toml: ") && error.contains(expected), "{error}");
        assert!(error.contains("line") || error.contains("step"), "{error}");
    }
}

#[test]
fn the_schema_knows_every_action() {
    let schema = Scenario::schema().to_string();
    for action in [
        "plug", "unplug", "eject", "resize", "online", "offline", "write", "pin", "unpin", "poison", "set",
        "inject", "fault", "settle", "reboot",
    ] {
        assert!(schema.contains(&format!("\"{action}\"")), "{action}");
    }
}

/// Every scenario of the library, with what its author wrote held against what the model says.
#[test]
fn the_library_and_the_oracle_agree() {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<_> = std::fs::read_dir(library).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let releases =
        [(5, 10), (6, 1), (6, 12), (6, 18), (7, 3)].map(|(major, minor)| Release::new(major, minor));
    let files = files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "toml"));
    for (file, release) in files.flat_map(|file| releases.iter().map(move |release| (file, *release))) {
        let scenario = Scenario::read(file).unwrap();
        if !scenario.is_about(release) {
            continue;
        }
        let mut model = Prediction::new(&scenario, release).unwrap();
        for (number, step) in (1..).zip(&scenario.steps) {
            let place = format!("{}, step {number}, on {release}", file.display());
            let effect = model.apply(&step.action()).unwrap_or_else(|problem| panic!("{place}: {problem}"));
            let Some(Expect::Details(expected)) = &step.expect else { continue };
            if expected.oracle == Some(false) {
                continue;
            }
            agrees(&model, &effect, expected, &place);
        }
    }
}

fn agrees(model: &Prediction, effect: &Effect, expected: &Expected, place: &str) {
    let memory = &model.linux.memory;
    if let Some(text) = &expected.blocks {
        let wanted = crate::expect::parse(text).unwrap();
        let behind_boot =
            memory.blocks().iter().filter(|(_, block)| block.early).map(|(index, _)| index + 1).max();
        let first = wanted.keys().next().copied().or(behind_boot).unwrap();
        let words = |index: &u64| memory.shown(*index).to_string();
        let said = memory.blocks().range(first..).map(|(index, _)| (*index, words(index))).collect();
        let rows = crate::expect::compare(&wanted, &said, |_| String::new());
        let wrong: Vec<_> = rows.iter().filter(|row| !row.is_right()).collect();
        assert!(wrong.is_empty(), "{place}: {wrong:#?}");
    }
    if let Some(outcome) = expected.outcome {
        assert_eq!(effect.outcome, Some(outcome), "{place}");
    }
    if let Some(reports) = expected.reports().unwrap() {
        assert_eq!(effect.ost, reports, "{place}");
    }
    if let Some(plugged) = expected.plugged {
        assert_eq!(effect.plugged, Some(plugged.0), "{place}");
    }
    if let Some(refused) = expected.refusals().unwrap() {
        assert_eq!(effect.refused, refused, "{place}");
    }
    if let Some(corrupted) = expected.hardware_corrupted {
        assert_eq!(effect.hardware_corrupted, Some(corrupted.0), "{place}");
    }
}
