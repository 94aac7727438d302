//! Reports of made-up self-tests.

use std::time::Duration;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::*;

fn fact(name: &str, value: &str) -> Fact {
    Fact { name: name.to_owned(), value: value.to_owned() }
}

fn report(outcomes: [Outcome; 3]) -> Report {
    let names = ["boot Linux", "plug a DIMM of 1 GiB", "eject it"];
    let done = |(name, outcome)| Done { name, outcome, time: Duration::from_millis(1200) };
    let steps = names.into_iter().zip(outcomes).map(done).collect();
    let host = vec![fact("virtualization", "vmx (Intel's): ept vpid"), fact("KVM lacks", "XCRS (a|b)")];
    Report {
        here: Vec::new(),
        lacks: vec!["iasl: not in PATH".to_owned()],
        place: "this machine".to_owned(),
        tested: Tested { host, steps, hopeless: None },
    }
}

fn passed() -> Outcome {
    Outcome::Passed { seen: "48-55 Movable".to_owned() }
}

fn failed() -> Report {
    let why = "status 500: no room\nfor it".to_owned();
    let said = "dimmer:\n  a line\nconsole:\n  [1.0] ```text``` \u{1b}[31m".to_owned();
    let left = Outcome::LeftOut { why: "the step \"plug a DIMM of 1 GiB\" has not passed".to_owned() };
    report([passed(), Outcome::Failed { why, said, hopeless: false }, left])
}

#[test]
fn text_has_the_verdict_the_facts_the_steps_and_all_of_a_failure() {
    let text = failed().write(Format::Text);
    let expected = format!(
        "Dimmer {VERSION}: self-test of a host
Passed: 1, failed: 1, left out: 1; 3.6 s.

Where guests ran: this machine
  virtualization          vmx (Intel's): ept vpid
  KVM lacks               XCRS (a|b)

What this machine lacks
  iasl: not in PATH

Steps
  passed       1.2 s  boot Linux                48-55 Movable
  FAILED       1.2 s  plug a DIMM of 1 GiB      status 500: no room
  left out     1.2 s  eject it                  the step \"plug a DIMM of 1 GiB\" has not passed

Why it failed: plug a DIMM of 1 GiB
  status 500: no room
  for it
  dimmer:
    a line
  console:
    [1.0] ```text``` {}
",
        printable("\u{1b}[31m")
    );
    assert_eq!(text, expected);
}

#[test]
fn a_long_value_goes_on_below_itself() {
    let mut report = failed();
    report.tested.host = vec![fact("KVM extensions in use", &"USER_MEMORY, ".repeat(20))];
    let text = report.write(Format::Text);
    let lines: Vec<_> = text.lines().filter(|line| line.contains("USER_MEMORY")).collect();
    assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= 2 + NAME + VALUE), "{text}");
    assert!(lines[1].starts_with(&format!("  {}USER_MEMORY, ", " ".repeat(NAME))), "{text}");
    assert_eq!(text.matches("USER_MEMORY").count(), 20);
}

#[test]
fn markdown_is_read_as_it_was_meant() {
    let text = failed().write(Format::Markdown);
    let (mut cells, mut code, mut kinds) = (Vec::new(), String::new(), Vec::new());
    let (mut cell, mut is_code) = (None::<String>, false);
    for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::TableCell) => cell = Some(String::new()),
            Event::End(TagEnd::TableCell) => cells.extend(cell.take()),
            Event::Start(Tag::CodeBlock(_)) => (is_code, _) = (true, kinds.push("code")),
            Event::End(TagEnd::CodeBlock) => is_code = false,
            Event::Start(Tag::Heading { .. }) => kinds.push("heading"),
            Event::Text(words) if is_code => code.push_str(&words),
            Event::Text(words) => {
                if let Some(cell) = &mut cell {
                    cell.push_str(&words);
                }
            }
            _ => {}
        }
    }
    assert!(cells.iter().any(|cell| cell == "XCRS (a|b)"), "{cells:?}");
    assert!(cells.iter().any(|cell| cell == "the step \"plug a DIMM of 1 GiB\" has not passed"), "{cells:?}");
    assert!(code.contains("status 500: no room\nfor it\ndimmer:\n  a line\n"), "{code}");
    assert!(code.contains("```text```"), "a fence in a console ends nothing: {text}");
    assert_eq!(kinds, ["heading", "heading", "heading", "heading", "heading", "code"], "{text}");
}

#[test]
fn the_status_tells_a_failure_from_a_host_without_guests() {
    let well = report([passed(), passed(), passed()]);
    assert_eq!((well.tested.status(), well.verdict()), (0, "All 3 steps passed, in 3.6 s.".to_owned()));
    assert_eq!(failed().tested.status(), 1);
    let left = report([passed(), passed(), Outcome::LeftOut { why: "300 s were over".to_owned() }]);
    assert_eq!(left.tested.status(), 1, "not all of it is known to work");
    let mut hopeless = failed();
    hopeless.tested.hopeless = Some("the host was lost: it went away\nand more".to_owned());
    assert_eq!(hopeless.tested.status(), 2);
    assert_eq!(hopeless.verdict(), "This host cannot run guests: the host was lost: it went away");
}
