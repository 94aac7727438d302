//! Checking scenarios: guests that run several, and what is said of an expectation that is wrong.

use std::path::Path;

use dimmer_images::Kernel;
use dimmer_lab::check::entry::Which;
use dimmer_lab::check::{Entry, Format, Outcome, Plan, Report, Seat, run};
use dimmer_lab::library::Source;
use dimmer_lab::scenario::Scenario;

use crate::Outcome as TestOutcome;

crate::tests!("check": a_planted_error_shows_in_every_format_and_on_a_forked_guest);

const HEAD: &str =
    "shows = \"A DIMM comes\"\n[machine]\nmemory_hotplug = [\"method=acpi,slots=4,size=8G\"]\n";

const OFFLINE: &str = "expect = { blocks = \"48-55 offline:Movable/Normal\" }\n";

/// Why the oracle, too, says what was seen.
const WHY: &str = "Movable: 229376+32768 <= 301 % of 1048478 early kernel pages = 3155918, on node 0";

fn source(name: &str, text: &str) -> Result<Source, Box<dyn std::error::Error>> {
    let scenario = Scenario::parse(&format!("{HEAD}{text}"), Path::new(name))?;
    Ok(Source { name: name.to_owned(), argument: format!("{name}.toml"), scenario })
}

fn a_planted_error_shows_in_every_format_and_on_a_forked_guest(kernel: &Kernel) -> TestOutcome {
    let plug = "[[step]]\nplug = { id = \"d0\", size = \"1G\" }\n";
    let sources = [
        source("a", &format!("{plug}expect = {{ blocks = \"48-55 Movable\" }}\n"))?,
        // Other settings, which do not take another boot.
        source("b", &format!("[guest]\nauto_online_blocks = \"offline\"\n{plug}{OFFLINE}"))?,
        source("c", &format!("{plug}expect = {{ blocks = \"48-54 Movable, 55 Normal\" }}\n"))?,
    ];
    let kernels = [kernel.clone()];
    let plan = Plan::new(&sources, &kernels, &[], true);
    assert_eq!(plan.batches.len(), 1, "one guest for all");
    let mut entries: Vec<Entry> = Vec::new();
    run::here(&plan.batches, 1, Seat::default, |entry| entries.push(entry));
    entries.sort_by(|a, b| a.scenario.cmp(&b.scenario));
    let guests: Vec<_> = entries.iter().map(|entry| (entry.guest, entry.outcome.is_passed())).collect();
    assert_eq!(
        guests,
        [(Which::Forked, true), (Which::Forked, true), (Which::Forked, false)],
        "{entries:#?}"
    );
    let Outcome::Differs { step: 1, differences, evidence, .. } = &entries[2].outcome else {
        panic!("{:?}", entries[2].outcome)
    };
    assert_eq!(
        (differences.len(), differences[0].to_string()),
        (1, format!("block 55: expected Normal, seen Movable ({WHY})"))
    );
    assert!(evidence.events.iter().any(|event| event["event"] == "ost"), "{:?}", evidence.events);
    assert!(!evidence.log.is_empty());
    let report = Report { shard: None, entries, seconds: 1.0 };
    assert_eq!(report.status(), 1);
    for format in [Format::Human, Format::Json, Format::Junit, Format::Tap] {
        let mut bytes = Vec::new();
        report.write(format, &mut bytes)?;
        let text = String::from_utf8(bytes)?;
        let repeat = format!("dimmer-lab check c.toml --kernel {}", kernel.name);
        assert!(text.contains(&repeat) && text.contains("block 55"), "{format:?}: {text}");
    }
    Ok(())
}
