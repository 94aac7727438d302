//! What was expected of memory blocks beside what was seen: pictures, and a table with the reasons.

use super::Markup;
use super::blocks::{Blocks, Mark};
use crate::check::{By, Difference, Run, expected};

/// Two pictures of memory, where `differences` are about blocks: as it was to be, and as it was `seen`. What is in `place` has names
/// of its own.
pub fn pictures(page: &mut Markup, place: &str, seen: &[Run], differences: &[Difference]) {
    let Some(expected) = expected(seen, differences) else { return };
    let wrong = differences.iter().filter_map(Difference::blocks);
    let marks: Vec<_> = wrong.map(|(first, last)| (first, last, Mark::Wrong)).collect();
    page.element("div", &[("class", "pair")], |pair| {
        figure(pair, &format!("{place}-expected"), "Expected", &expected, &marks);
        figure(pair, &format!("{place}-seen"), "Seen", seen, &marks);
    });
}

/// Every difference, who expected what, and why.
pub fn table(page: &mut Markup, differences: &[Difference]) {
    let caption = "What is not as expected, and why it was expected";
    let headings = ["what", "expected", "seen", "says", "why"];
    super::table::table(page, "differences", caption, &headings, |body| {
        for Difference { what, by, expected, seen, why } in differences {
            let by = if *by == By::Oracle { "the oracle" } else { "the author" };
            super::table::row(body, what, |row| {
                [expected, seen, by, why].into_iter().for_each(|cell| row.text_element("td", &[], cell));
            });
        }
    });
}

/// A picture of blocks with its caption, and in words the marked ones that are not there.
pub fn figure(page: &mut Markup, id: &str, caption: &str, runs: &[Run], marks: &[(u64, u64, Mark)]) {
    page.element("figure", &[], |figure| {
        figure.text_element("figcaption", &[], caption);
        Blocks { id, title: caption, runs, marks }.draw(figure);
        let gone: Vec<String> = gone(runs, marks).collect();
        if !gone.is_empty() {
            let text = format!("Not there: blocks {}.", gone.join(", "));
            figure.text_element("p", &[("class", "quiet")], &text);
        }
    });
}

/// The marked blocks that are not there.
fn gone<'a>(runs: &'a [Run], marks: &'a [(u64, u64, Mark)]) -> impl Iterator<Item = String> + 'a {
    let is_there = |first: u64, last: u64| runs.iter().any(|run| run.first <= last && first <= run.last);
    let gone = marks.iter().filter(move |(first, last, _)| !is_there(*first, *last));
    gone.map(|(first, last, _)| if first == last { first.to_string() } else { format!("{first}-{last}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(first: u64, last: u64, shows: &str) -> Run {
        Run { first, last, shows: shows.into(), device: String::new() }
    }

    #[test]
    fn marked_blocks_that_are_not_there_are_named() {
        let marks = [(8, 12, Mark::New), (40, 41, Mark::New), (50, 50, Mark::Wrong)];
        assert_eq!(gone(&[run(0, 9, "Normal")], &marks).collect::<Vec<_>>(), ["40-41", "50"]);
    }

    #[test]
    fn what_is_not_about_blocks_has_no_picture() {
        let mut page = Markup::default();
        pictures(
            &mut page,
            "a",
            &[run(0, 9, "Normal")],
            &[Difference::oracle("_OST", "1".into(), "2".into())],
        );
        assert_eq!(page, Markup::default());
        let block = Difference::oracle("block 3", "Movable".into(), "Normal".into());
        pictures(&mut page, "a", &[run(0, 9, "Normal")], &[block]);
        assert_eq!(page.as_str().matches("<figure>").count(), 2);
    }
}
