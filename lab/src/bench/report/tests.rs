//! Reports of made-up rounds.

use super::*;

/// Five rounds in which Dimmer takes half of QEMU's time, and a peer that cannot do it.
fn results() -> Results {
    let program = |kind| Program { kind, path: None, version: format!("{kind} 1 <beta>") };
    let mut results = Results {
        machine: vec![("host".into(), "a fast one".into())],
        programs: [Kind::Dimmer, Kind::Qemu, Kind::QemuMicrovm].map(program).to_vec(),
        absent: vec![(Kind::Firecracker, "there is no firecracker in PATH".into())],
        entries: Vec::new(),
    };
    for round in 1..=5_u32 {
        let time = f64::from(100 * round);
        let mut add = |kind, outcome| {
            let measure = "dimm".to_owned();
            results.entries.push(Entry { measure, kind, round: round as usize, outcome });
        };
        add(Kind::Dimmer, Outcome::Values(vec![Some(time), Some(7.0)]));
        add(Kind::Qemu, Outcome::Values(vec![Some(2.0 * time), None]));
        add(Kind::QemuMicrovm, Outcome::Cannot("it has no memory devices".into()));
    }
    results
}

#[test]
fn rounds_are_paired_and_the_winner_is_named() {
    let tables = results().tables();
    assert_eq!((tables.len(), tables[0].name, tables[0].rows.len()), (1, "dimm", 2));
    let [dimmer, qemu, microvm] = tables[0].rows[0].cells[..] else { panic!("three programs") };
    assert_eq!((dimmer.unwrap().summary.median, dimmer.unwrap().ratio), (300.0, None));
    let qemu = qemu.unwrap();
    assert_eq!((qemu.ratio.unwrap().ratio, qemu.winner), (0.5, Some(Kind::Dimmer)));
    assert_eq!(microvm, None);
    assert_eq!(tables[0].rows[1].cells[1], None);
    assert_eq!(tables[0].notes, ["qemu-microvm: it has no memory devices"]);
}

#[test]
fn of_what_is_better_when_it_is_more_the_larger_wins() {
    let mut results = results();
    results.entries.iter_mut().for_each(|entry| {
        entry.measure = "guest".into();
    });
    assert_eq!(results.tables()[0].rows[0].cells[1].unwrap().winner, Some(Kind::Qemu));
}

#[test]
fn every_format_has_the_numbers_the_versions_and_the_verdicts() {
    let results = results();
    for format in [Format::Text, Format::Markdown, Format::Html] {
        let text = results.write(format).unwrap();
        for part in [
            "300 (100–500)",
            "0.50 (0.50–0.50) dimmer",
            "Where Dimmer is better",
            "no memory devices",
            "no firecracker",
        ] {
            assert!(text.contains(part), "{format:?} lacks {part}: {text}");
        }
        assert_eq!(text.contains("<beta>"), format != Format::Html, "{text}");
        assert!(!text.contains("Where others are better"), "{text}");
    }
}

#[test]
fn the_page_has_the_frame_of_all_pages_and_a_colour_for_who_is_better() {
    let results = results();
    let page = html::page(&results, &results.tables(), SystemTime::UNIX_EPOCH).document();
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(&page, options).unwrap();
    let style = document.descendants().find(|node| node.has_tag_name("style")).unwrap();
    assert_eq!(style.text(), Some(crate::page::STYLE));
    let better: Vec<_> = document
        .descendants()
        .filter(|node| node.attribute("class") == Some("passed"))
        .filter_map(|node| node.text())
        .collect();
    assert_eq!(better, ["0.50 (0.50–0.50) dimmer"]);
    assert!(page.contains("1970-01-01T00:00:00Z") && page.contains("firecracker"), "{page}");
}

#[test]
fn json_can_be_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("results.json");
    let json = results().write(Format::Json).unwrap();
    std::fs::write(&path, &json).unwrap();
    assert_eq!(Results::read(&path).unwrap().write(Format::Json).unwrap(), json);
    assert!(json.contains("\"winner\": \"dimmer\""), "{json}");
    std::fs::write(&path, "{}").unwrap();
    assert!(Results::read(&path).is_err());
}

#[test]
fn numbers_have_three_digits() {
    let all = [0.1234, 12.345, 1234.56, -3.456].map(number);
    assert_eq!(all, ["0.12", "12.3", "1235", "-3.46"]);
}

#[test]
fn a_program_that_fails_in_a_round_is_noted_and_not_paired() {
    let mut results = results();
    results.entries[1].outcome = Outcome::Failed("it ended".into());
    let table = &results.tables()[0];
    assert_eq!(table.rows[0].cells[1].unwrap().ratio.unwrap().rounds, 4);
    assert_eq!(table.rows[0].cells[1].unwrap().winner, None, "four rounds are too few");
    assert!(table.notes.contains(&"qemu failed in round 1: it ended".to_owned()), "{:?}", table.notes);
}
