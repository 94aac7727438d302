//! A report as a page, in the frame that the lab's pages have in common.

use std::time::SystemTime;

use super::{Cell, Results, Row, Table, words};
use crate::bench::peer::Kind;
use crate::page::table::{facts, row, table};
use crate::page::{self, Markup, Page};

const LEAD: &str = "Medians, with the least and the most; below them Dimmer's value by the other's, with its interval. A name \
    says who is better, where the interval excludes 1.";

/// All of it, made at this time.
pub fn page(results: &Results, tables: &[Table], made: SystemTime) -> Page {
    let mut body = Markup::default();
    body.text_element("h2", &[], "What was measured, and on what");
    let all = results.facts();
    let caption = "Every program met the same host, one after the other in each round.";
    facts(&mut body, caption, all.iter().map(|(name, value)| (&**name, &**value)));
    for (title, lines) in words::verdicts(tables) {
        body.text_element("h2", &[], title);
        body.element("ul", &[], |list| lines.iter().for_each(|line| list.text_element("li", &[], line)));
    }
    body.text_element("h2", &[], "All numbers");
    tables.iter().for_each(|table| measure(table, &mut body));
    let title = "Dimmer and others, side by side".to_owned();
    Page { title, lead: LEAD.to_owned(), body, foot: page::made(made) }
}

fn measure(measure: &Table, page: &mut Markup) {
    page.element("section", &[], |section| {
        section.text_element("h3", &[], measure.name);
        let kinds: Vec<String> = measure.kinds.iter().map(Kind::to_string).collect();
        let headings: Vec<&str> = std::iter::once("number").chain(kinds.iter().map(String::as_str)).collect();
        table(section, "numbers", measure.about, &headings, |body| {
            for Row { column, cells } in &measure.rows {
                let name = format!("{} ({})", column.name, column.unit.text());
                row(body, &name, |row| cells.iter().for_each(|it| cell(it.as_ref(), row)));
            }
        });
        for note in &measure.notes {
            section.element("p", &[("class", "quiet")], |words| words.prose(note));
        }
    });
}

/// A value with its comparison, in the colour of who is better.
fn cell(cell: Option<&Cell>, row: &mut Markup) {
    let Some(cell) = cell else { return row.text_element("td", &[("class", "skipped")], "–") };
    row.element("td", &[], |td| {
        td.text(&cell.values());
        let class = match cell.winner {
            Some(Kind::Dimmer) => "passed",
            Some(_) => "differs",
            None => "quiet",
        };
        let comparison = cell.comparison();
        if !comparison.is_empty() {
            td.text_element("div", &[("class", class)], &comparison);
        }
    });
}
