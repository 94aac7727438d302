//! A page for people: scenarios and kernels in a table, and all that there is to say of each: pictures of memory after every
//! step, what was expected beside what was seen, why, what machine and guest said, and the command that does it again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use super::{Entry, Outcome, Report};
use crate::page::table::{row, table};
use crate::page::{self, Markup, Page, blocks};

mod entry;

/// The page, made at this time.
pub(super) fn page(report: &Report, made: SystemTime) -> Page {
    let mut body = Markup::default();
    matrix(report, &mut body);
    let all = || report.entries.iter().enumerate();
    if all().any(|(_, entry)| !entry.frames.is_empty()) {
        blocks::legend(&mut body);
    }
    let is_wrong = |entry: &Entry| matches!(entry.outcome, Outcome::Differs { .. } | Outcome::Failed { .. });
    section(&mut body, "Not as expected", all().filter(|(_, entry)| is_wrong(entry)));
    section(&mut body, "As expected", all().filter(|(_, entry)| entry.outcome.is_passed()));
    let (title, foot) = ("Scenarios on real kernels".to_owned(), page::made(made));
    Page { title, lead: lead(report), body, foot }
}

/// The sums.
fn lead(report: &Report) -> String {
    let [passed, differ, failed, skipped] = report.counts();
    let shard = report.shard.as_ref().map(|shard| format!("Shard {shard}: ")).unwrap_or_default();
    let skipped = if skipped > 0 { format!(", {skipped} not about the kernel") } else { String::new() };
    let time = std::time::Duration::try_from_secs_f64(report.seconds.round()).unwrap_or_default();
    let time = humantime::format_duration(time);
    format!("{shard}{passed} as expected, {differ} not, {failed} could not be carried out{skipped}; {time}.")
}

/// Where the article of an entry is.
fn place(number: usize) -> String {
    format!("check-{number}")
}

/// The word for an outcome, its sign, and its class.
fn verdict(outcome: &Outcome) -> (&'static str, char, &'static str) {
    match outcome {
        Outcome::Passed { .. } => ("passed", '✓', "passed"),
        Outcome::Differs { .. } => ("differs", '✗', "differs"),
        Outcome::Failed { .. } => ("failed", '!', "failed"),
        Outcome::Skipped => ("skipped", '–', "skipped"),
    }
}

/// Scenarios by kernels.
fn matrix(report: &Report, page: &mut Markup) {
    page.text_element("h2", &[], "Scenarios and kernels");
    if report.entries.is_empty() {
        return page.text_element("p", &[], "There was nothing to check.");
    }
    let kernels: BTreeSet<&str> = report.entries.iter().map(|entry| entry.kernel.as_str()).collect();
    let mut rows: BTreeMap<&str, BTreeMap<&str, (usize, &Entry)>> = BTreeMap::new();
    for (number, entry) in report.entries.iter().enumerate() {
        rows.entry(&entry.scenario).or_default().insert(&entry.kernel, (number, entry));
    }
    let headings: Vec<&str> = std::iter::once("scenario").chain(kernels.iter().copied()).collect();
    table(page, "matrix", "Each result leads to its details.", &headings, |body| {
        for (scenario, results) in &rows {
            row(body, scenario, |row| kernels.iter().for_each(|kernel| cell(results.get(kernel), row)));
        }
    });
}

fn cell(result: Option<&(usize, &Entry)>, row: &mut Markup) {
    let Some((number, entry)) = result else { return row.text_element("td", &[], "") };
    let (word, sign, class) = verdict(&entry.outcome);
    let text = format!("{sign} {word}");
    row.element("td", &[("class", class)], |cell| match entry.outcome {
        Outcome::Skipped => cell.text(&text),
        _ => cell.text_element("a", &[("href", &format!("#{}", place(*number)))], &text),
    });
}

/// The articles of some entries, if there are any.
fn section<'a>(page: &mut Markup, heading: &str, entries: impl Iterator<Item = (usize, &'a Entry)>) {
    let mut entries = entries.peekable();
    if entries.peek().is_none() {
        return;
    }
    page.element("section", &[], |section| {
        section.text_element("h2", &[], heading);
        entries.for_each(|(number, entry)| entry::article(entry, &place(number), section));
    });
}
