//! The runner's TAP, read and written: TAP version 13 as the kernel's selftests have it (KTAP), a point for each test, and what
//! the test wrote as lines of comment before its point.

use super::{Done, Name, Outcome};

/// What all of it begins with.
const VERSION: &str = "TAP version 13";
/// What stands before a test's name in its point.
const PREFIX: &str = "selftests: ";

/// How the one test that the runner ran ended, and all lines that are about it.
pub fn read(output: &str) -> (Outcome, Vec<String>) {
    let is_frame = |line: &str| line == VERSION || line.starts_with("1..");
    let (points, rest): (Vec<&str>, Vec<&str>) =
        output.lines().filter(|line| !is_frame(line)).partition(|line| point(line).is_some());
    let outcome = match points[..] {
        [line] => point(line).unwrap_or(Outcome::Ok),
        [] => Outcome::NotOk("the runner has not said how it ended".to_owned()),
        _ => Outcome::NotOk(format!("the runner says {} times how it ended", points.len())),
    };
    let words = |line: &str| {
        line.strip_prefix('#').map_or(line, |line| line.strip_prefix(' ').unwrap_or(line)).to_owned()
    };
    (outcome, rest.into_iter().map(words).collect())
}

/// What a point says; none for a line that is no point.
fn point(line: &str) -> Option<Outcome> {
    let (is_ok, rest) = match line.strip_prefix("not ok ") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok ")?),
    };
    let directive = rest.split_once(" # ").map_or("", |(_, directive)| directive.trim());
    Some(match is_ok {
        true if directive.to_ascii_uppercase().starts_with("SKIP") => Outcome::Skipped,
        true => Outcome::Ok,
        false if directive.is_empty() => Outcome::NotOk("no reason was given".to_owned()),
        false => Outcome::NotOk(directive.to_owned()),
    })
}

/// What comes before the points of so many tests.
pub fn head(tests: usize) -> String {
    format!("{VERSION}\n1..{tests}\n")
}

/// The lines of a test, which is the one of this number, beginning with 1.
pub fn test(number: usize, done: &Done) -> String {
    let mut text: String =
        done.output.iter().map(|line| format!("{}\n", format!("# {line}").trim_end())).collect();
    let Name { collection, test } = &done.name;
    let name = format!("{number} {PREFIX}{collection}: {test}");
    text += &match &done.outcome {
        Outcome::Ok => format!("ok {name}\n"),
        Outcome::Skipped => format!("ok {name} # SKIP\n"),
        Outcome::NotOk(why) => format!("not ok {name} # {}\n", why.replace('\n', " ")),
    };
    text
}
