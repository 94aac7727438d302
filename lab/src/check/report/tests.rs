//! Every format, read by a parser that is not ours.

use serde_json::{Value, json};
use tap_parser::{DirectiveKind, TapParser, TapStatement};

use super::super::entry::{Evidence, Which};
use super::*;
use crate::check::{Difference, Frame, Run};

/// A report with one entry of each outcome; the texts hold what XML, JSON, YAML and TAP have to quote.
fn report() -> Report {
    let evidence = || Evidence {
        events: vec![json!({"sequence": 7, "event": "plugged", "device": "d0"})],
        log: vec!["[    1.000000] <b>&\"quoted\"</b> # \\".to_owned()],
    };
    let why = "Normal: 3932160+32768 > 301 % of 1048478 early kernel pages".to_owned();
    let differences = vec![
        Difference { why, ..Difference::oracle("blocks 48-55", "Normal".into(), "Movable".into()) },
        Difference::author("_OST", "[(3, 84)]".into(), "[]".into()),
    ];
    let outcomes = [
        Outcome::Passed { steps: 3, remarks: vec!["step 2: open".into()] },
        Outcome::Differs { step: 2, action: "plug".into(), differences, evidence: evidence() },
        Outcome::Failed { error: "the machine ended\nfor a reason".into(), evidence: evidence() },
        Outcome::Skipped,
    ];
    let entry = |(number, outcome): (usize, Outcome)| Entry {
        scenario: format!("0{number}-a#b"),
        shows: "Something".into(),
        kernel: if number < 2 { "6.1" } else { "6.12" }.into(),
        outcome,
        guest: Which::Fresh,
        seconds: 1.5,
        repeat: format!("dimmer-lab check 0{number} --kernel 6.1"),
        frames: frames(),
    };
    Report {
        shard: Some("1/2".into()),
        entries: outcomes.into_iter().enumerate().map(entry).collect(),
        seconds: 6.0,
    }
}

/// After the boot, a plug, and a step that changes nothing.
fn frames() -> Vec<Frame> {
    let run = |first, last, shows: &str, device: &str| Run {
        first,
        last,
        shows: shows.to_owned(),
        device: device.to_owned(),
    };
    let boot = vec![run(0, 0, "none", ""), run(1, 47, "Normal", "")];
    let plugged = [boot.clone(), vec![run(48, 55, "Movable", "d0")]].concat();
    let frame =
        |(step, (action, blocks)): (usize, (&str, Vec<Run>))| Frame { step, action: action.into(), blocks };
    let all = [("boot", boot), ("plug {\"id\":\"d0\"}", plugged.clone()), ("settle", plugged)];
    all.into_iter().enumerate().map(frame).collect()
}

fn written(format: Format) -> String {
    let mut bytes = Vec::new();
    report().write(format, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn people_get_the_table_the_reason_the_traces_and_the_command() {
    let text = written(Format::Human);
    let expected = "\
01-a#b on 6.1: DIFFERS
  Something
  after step 2 (plug):
    what          expected   seen     says
    blocks 48-55  Normal     Movable  oracle
        why: Normal: 3932160+32768 > 301 % of 1048478 early kernel pages
    _OST          [(3, 84)]  []       author
  the machine's events:
    {\"device\":\"d0\",\"event\":\"plugged\",\"sequence\":7}
  end of the guest's log:
    [    1.000000] <b>&\"quoted\"</b> # \\
  again: dimmer-lab check 01 --kernel 6.1
";
    assert!(text.contains(expected), "{text}");
    assert!(
        text.contains("02-a#b on 6.12: FAILED\n  Something\n  the machine ended\n  for a reason\n"),
        "{text}"
    );
    let summary = "\
01-a#b on 6.1: DIFFERS, step 2 (plug): blocks 48-55: the oracle says Normal, seen Movable \
(Normal: 3932160+32768 > 301 % of 1048478 early kernel pages) (and 1 more)
02-a#b on 6.12: FAILED, the machine ended
shard 1/2: 1 as expected, 1 not, 1 could not be carried out, 1 not about the kernel; 6 s
";
    assert!(text.ends_with(summary), "{text}");
    assert!(text.contains("00-a#b on 6.1: step 2: open\n"), "{text}");
    assert!(!text.contains("03-a#b"), "{text}");
}

#[test]
fn json_carries_everything() {
    let value: Value = serde_json::from_str(&written(Format::Json)).unwrap();
    assert_eq!(value["shard"], "1/2");
    let outcomes: Vec<_> = (0..4).map(|index| value["entries"][index]["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["passed", "differs", "failed", "skipped"]);
    let differs = &value["entries"][1];
    assert_eq!(differs["differences"][0]["what"], "blocks 48-55");
    assert_eq!(differs["differences"][1]["by"], "author");
    assert_eq!((&differs["step"], &differs["events"][0]["sequence"]), (&json!(2), &json!(7)));
    assert_eq!(differs["repeat"], "dimmer-lab check 01 --kernel 6.1");
}

#[test]
fn junit_is_xml_with_a_suite_for_each_kernel() {
    let text = written(Format::Junit);
    let document = roxmltree::Document::parse(&text).unwrap();
    let root = document.root_element();
    assert_eq!(root.tag_name().name(), "testsuites");
    let counts = |node: &roxmltree::Node<'_, '_>| {
        ["tests", "failures", "errors"].map(|name| node.attribute(name).unwrap().to_owned())
    };
    assert_eq!(counts(&root), ["4", "1", "1"]);
    let suites: Vec<_> = root.children().filter(|node| node.has_tag_name("testsuite")).collect();
    assert_eq!(suites.len(), 2);
    assert_eq!(counts(&suites[0]), ["2", "1", "0"]);
    assert_eq!(counts(&suites[1]), ["2", "0", "1"]);
    let find = |name: &str| document.descendants().find(|node| node.has_tag_name(name)).unwrap();
    let failure = find("failure");
    assert_eq!(failure.parent().unwrap().attribute("name"), Some("01-a#b"));
    assert!(failure.attribute("message").unwrap().starts_with("step 2 (plug): blocks 48-55"));
    let said = failure.text().unwrap();
    for part in ["301 % of 1048478", "<b>&\"quoted\"</b>", "again: dimmer-lab check 01 --kernel 6.1"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(find("error").parent().unwrap().attribute("classname"), Some("scenarios.6.12"));
    assert_eq!(find("skipped").attribute("message"), Some("not about this kernel"));
}

#[test]
fn tap_has_a_point_for_each_entry_and_yaml_for_what_went_wrong() {
    let text = written(Format::Tap);
    let statements = TapParser::new().parse(&text).unwrap();
    assert!(matches!(&statements[0], TapStatement::Plan(plan) if plan.count == 4), "{statements:?}");
    let points: Vec<_> = statements
        .iter()
        .filter_map(|statement| match statement {
            TapStatement::TestPoint(point) => Some(point),
            _ => None,
        })
        .collect();
    let results: Vec<_> = points.iter().map(|point| (point.result, point.number)).collect();
    assert_eq!(results, [(true, Some(1)), (false, Some(2)), (false, Some(3)), (true, Some(4))]);
    let skip = points[3].directive.as_ref().unwrap();
    assert!(matches!(skip.kind, DirectiveKind::Skip) && skip.reason == Some("not about this kernel"));
    assert!(points[..3].iter().all(|point| point.directive.is_none()), "{text}");
    let yaml: Value = serde_saphyr::from_str(&points[1].yaml.join("\n")).unwrap();
    assert_eq!(yaml["repeat"], "dimmer-lab check 01 --kernel 6.1");
    assert_eq!(yaml["severity"], "fail");
    let details = yaml["details"].as_array().unwrap();
    assert!(
        details.iter().any(|line| line.as_str().unwrap().contains("<b>&\"quoted\"</b> # \\")),
        "{details:?}"
    );
}

#[test]
fn the_status_tells_differences_from_what_could_not_be_carried_out() {
    let status = |wanted: &[usize]| {
        let all = report();
        let entries = wanted.iter().map(|index| all.entries[*index].clone()).collect();
        Report { entries, ..all }.status()
    };
    assert_eq!([status(&[]), status(&[0, 3]), status(&[0, 2]), status(&[0, 1, 2])], [0, 0, 2, 1]);
}

#[test]
fn the_page_has_a_matrix_and_pictures_with_words_for_all_that_they_show() {
    let text = html::page(&report(), SystemTime::UNIX_EPOCH).document();
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(&text, options).unwrap();
    let of = |name: &'static str| document.descendants().filter(move |node| node.tag_name().name() == name);
    let all_text = |node: roxmltree::Node<'_, '_>| {
        node.descendants()
            .filter_map(|node| if node.is_text() { node.text() } else { None })
            .collect::<String>()
    };
    // The matrix: a row for each scenario, a column for each kernel, and every result leads somewhere.
    let rows: Vec<String> = of("tr").take(5).map(all_text).collect();
    assert_eq!(rows[0], "scenario6.16.12");
    assert_eq!(rows[1..3], ["00-a#b✓ passed", "01-a#b✗ differs"]);
    assert_eq!(rows[3..5], ["02-a#b! failed", "03-a#b– skipped"]);
    let ids: Vec<&str> = document.descendants().filter_map(|node| node.attribute("id")).collect();
    let unique: std::collections::BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "{ids:?}");
    let targets: Vec<&str> = of("a").map(|link| &link.attribute("href").unwrap()[1..]).collect();
    assert_eq!(targets.len(), 3);
    assert!(targets.iter().all(|target| unique.contains(target)), "{targets:?}");
    assert!(of("th").all(|cell| cell.attribute("scope").is_some()));
    // Every picture that is no ornament says in words what it shows.
    let pictures: Vec<_> = of("svg").filter(|svg| svg.attribute("aria-hidden").is_none()).collect();
    // Two for each of three entries, and what was expected beside what was seen.
    assert_eq!(pictures.len(), 3 * 2 + 2);
    for picture in pictures {
        let labels = picture.attribute("aria-labelledby").unwrap();
        assert!(labels.split(' ').all(|label| unique.contains(label)), "{labels}");
    }
    let expected =
        document.descendants().find(|node| node.attribute("id") == Some("check-1-expected-desc")).unwrap();
    assert_eq!(expected.text(), Some("0 none, 1-47 Normal, 48-55 Normal (d0)"));
    let wrong = of("rect").filter(|rect| rect.attribute("class") == Some("wrong"));
    assert_eq!(wrong.count(), 2);
    let text = all_text(document.root_element());
    for part in [
        "301 % of 1048478 early kernel pages",
        "[    1.000000] <b>&\"quoted\"</b> # \\",
        "dimmer-lab check 01 --kernel 6.1",
        "settle: no block changed.",
        "the machine ended\nfor a reason",
        "Shard 1/2: 1 as expected, 1 not, 1 could not be carried out, 1 not about the kernel; 6s.",
        "1970-01-01T00:00:00Z",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[test]
fn a_page_is_made_of_nothing_too_and_its_directory_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let report = Report { shard: None, entries: Vec::new(), seconds: 0.0 };
    let page = report.write_page(&dir.path().join("a/b")).unwrap();
    assert!(std::fs::read_to_string(page).unwrap().contains("There was nothing to check."));
}
