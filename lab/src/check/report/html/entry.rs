//! All that there is to say of one scenario on one kernel.

use super::super::super::entry::Evidence;
use super::{Entry, Outcome, verdict};
use crate::check::{Difference, Frame, Run};
use crate::page::Markup;
use crate::page::blocks::Mark;
use crate::page::differences::{self, figure, pictures};

/// The article of an entry, which is at `place` in the page.
pub(super) fn article(entry: &Entry, place: &str, page: &mut Markup) {
    let (word, sign, class) = verdict(&entry.outcome);
    page.element("article", &[("id", place), ("class", class)], |article| {
        article.text_element("h3", &[], &format!("{sign} {} on {}: {word}", entry.scenario, entry.kernel));
        let time = format!("{} ({}, {:.1} s)", entry.shows, entry.outcome.line(), entry.seconds);
        article.text_element("p", &[], if entry.outcome.is_passed() { &time } else { &entry.shows });
        match &entry.outcome {
            Outcome::Passed { remarks, .. } => {
                remarks.iter().for_each(|remark| article.text_element("p", &[("class", "quiet")], remark));
            }
            Outcome::Differs { step, differences, evidence, .. } => {
                differs(entry, place, *step, differences, article);
                self::evidence(evidence, article);
            }
            Outcome::Failed { error, evidence } => {
                article.text_element("h4", &[], "It could not be carried out");
                article.text_element("pre", &[], error);
                self::evidence(evidence, article);
            }
            Outcome::Skipped => {}
        }
        article.text_element("h4", &[], "To repeat it");
        article.text_element("pre", &[], &entry.repeat);
        history(entry, place, article);
    });
}

/// What is not as expected: pictures, a table, and the reasons.
fn differs(entry: &Entry, place: &str, step: usize, differences: &[Difference], page: &mut Markup) {
    let frame = entry.frames.get(step);
    let action = frame.map_or_else(|| entry.outcome.line(), |frame| frame.action.clone());
    page.text_element("h4", &[], &format!("After step {step}: {action}"));
    if let Some(frame) = frame {
        pictures(page, place, &frame.blocks, differences);
    }
    differences::table(page, differences);
}

/// What machine and guest had to say.
fn evidence(evidence: &Evidence, page: &mut Markup) {
    let events: Vec<String> = evidence.events.iter().map(ToString::to_string).collect();
    for (heading, lines) in [("The machine's events", &events), ("End of the guest's log", &evidence.log)] {
        if !lines.is_empty() {
            page.text_element("h4", &[], heading);
            page.text_element("pre", &[], &lines.join("\n"));
        }
    }
}

/// Memory after every step.
fn history(entry: &Entry, place: &str, page: &mut Markup) {
    if entry.frames.is_empty() {
        return;
    }
    page.element("details", &[], |details| {
        let steps = entry.frames.len() - 1;
        let plural = if steps == 1 { "step" } else { "steps" };
        let summary = format!("Memory after the boot and after each of {steps} {plural}");
        details.text_element("summary", &[], &summary);
        let mut before: Option<&Frame> = None;
        for frame in &entry.frames {
            let caption = match frame.step {
                0 => "Boot".to_owned(),
                step => format!("Step {step}: {}", frame.action),
            };
            let marks = before.map(|before| changes(&before.blocks, &frame.blocks)).unwrap_or_default();
            let is_same = before.is_some_and(|before| before.blocks == frame.blocks);
            if is_same {
                details.text_element("p", &[], &format!("{caption}: no block changed."));
            } else {
                figure(details, &format!("{place}-{}", frame.step), &caption, &frame.blocks, &marks);
            }
            before = Some(frame);
        }
    });
}

/// The blocks that show something else `after` than `before`, also those that are gone.
fn changes(before: &[Run], after: &[Run]) -> Vec<(u64, u64, Mark)> {
    let mut borders: Vec<u64> =
        before.iter().chain(after).flat_map(|run| [run.first, run.last.saturating_add(1)]).collect();
    borders.sort_unstable();
    borders.dedup();
    let at = |runs: &'_ [Run], index: u64| {
        let place = runs.partition_point(|run| run.last < index);
        runs.get(place).filter(|run| run.first <= index).map(|run| run.shows.clone())
    };
    let mut changes: Vec<(u64, u64, Mark)> = Vec::new();
    for pair in borders.windows(2) {
        let (first, behind) = (pair[0], pair[1]);
        if at(before, first) == at(after, first) {
            continue;
        }
        match changes.last_mut() {
            Some((_, last, _)) if *last + 1 == first => *last = behind - 1,
            _ => changes.push((first, behind - 1, Mark::New)),
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_changed_and_went_is_marked() {
        let run = |first, last, shows: &str| Run { first, last, shows: shows.into(), device: String::new() };
        let before = [run(0, 9, "Normal"), run(20, 29, "Movable"), run(40, 41, "Movable")];
        let after = [
            run(0, 7, "Normal"),
            run(8, 9, "offline:Normal"),
            run(10, 12, "Movable"),
            run(20, 29, "Movable"),
        ];
        let changed: Vec<_> =
            changes(&before, &after).iter().map(|(first, last, _)| (*first, *last)).collect();
        assert_eq!(changed, [(8, 12), (40, 41)]);
        assert_eq!(changes(&before, &before), []);
    }
}
