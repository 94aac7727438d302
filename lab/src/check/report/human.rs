//! For people: what went wrong, each with all that it takes to find out why, and a summary that says it again in a line
//! each, since a long report is read from its end.

use std::io::{self, Write};

use super::super::entry::Evidence;
use super::{Entry, Outcome, Report};
use crate::check::{By, Difference};

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for entry in &report.entries {
        if let Some(text) = details(entry) {
            writeln!(out, "{} on {}: {}", entry.scenario, entry.kernel, entry.outcome.word())?;
            writeln!(out, "  {}", entry.shows)?;
            writeln!(out, "{}", indented(&text))?;
        }
        if let Outcome::Passed { remarks, .. } = &entry.outcome {
            for remark in remarks {
                writeln!(out, "{} on {}: {remark}", entry.scenario, entry.kernel)?;
            }
        }
    }
    for entry in report.entries.iter().filter(|entry| details(entry).is_some()) {
        let (scenario, kernel) = (&entry.scenario, &entry.kernel);
        writeln!(out, "{scenario} on {kernel}: {}, {}", entry.outcome.word(), entry.outcome.line())?;
    }
    let [passed, differ, failed, skipped] = report.counts();
    let shard = report.shard.as_ref().map(|shard| format!("shard {shard}: ")).unwrap_or_default();
    write!(out, "{shard}{passed} as expected, {differ} not, {failed} could not be carried out")?;
    if skipped > 0 {
        write!(out, ", {skipped} not about the kernel")?;
    }
    writeln!(out, "; {:.0} s", report.seconds)
}

/// What there is to say of a scenario that did not end as expected; nothing of another.
pub(super) fn details(entry: &Entry) -> Option<String> {
    let (said, evidence) = match &entry.outcome {
        Outcome::Passed { .. } | Outcome::Skipped => return None,
        Outcome::Differs { step, action, differences, evidence } => {
            (format!("after step {step} ({action}):\n{}", indented(&table(differences))), evidence)
        }
        Outcome::Failed { error, evidence } => (format!("{error}\n"), evidence),
    };
    Some(format!("{said}{}again: {}\n", traces(evidence), entry.repeat))
}

/// The differences as a table, and below it why the oracle expects what it does.
pub(super) fn table(differences: &[Difference]) -> String {
    let heading = ["what", "expected", "seen", "says"].map(str::to_owned);
    let row = |difference: &Difference| {
        let by = match difference.by {
            By::Oracle => "oracle",
            By::Author => "author",
        };
        [difference.what.clone(), difference.expected.clone(), difference.seen.clone(), by.to_owned()]
    };
    let rows: Vec<[String; 4]> = std::iter::once(heading).chain(differences.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 4] = std::array::from_fn(width);
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
        if let Some(why) =
            number.checked_sub(1).map(|index| &differences[index].why).filter(|why| !why.is_empty())
        {
            text.push_str(&format!("    why: {why}\n"));
        }
    }
    text
}

fn traces(evidence: &Evidence) -> String {
    let mut text = String::new();
    let events: Vec<String> = evidence.events.iter().map(ToString::to_string).collect();
    for (heading, lines) in [("the machine's events", &events), ("end of the guest's log", &evidence.log)] {
        if !lines.is_empty() {
            text.push_str(&format!("{heading}:\n{}", indented(&lines.join("\n"))));
        }
    }
    text
}

/// The lines of `text`, each moved to the right and ended.
fn indented(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") }).collect()
}
