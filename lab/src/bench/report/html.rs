//! A report as a page that needs nothing else.

use super::{Results, Row, Table, words};

const HEAD: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Dimmer: performance</title>\n<style>\n\
    body { font: 15px sans-serif; max-width: 75em; margin: 2em auto; }\n\
    table { border-collapse: collapse; } td, th { border: 1px solid #bbb; padding: 0.3em 0.6em; text-align: left; }\n\
    small { color: #555; }\n</style>\n<h1>Dimmer and others, side by side</h1>\n\
    <p>Medians, the least and the most; below them Dimmer's value by the other's with its interval, and who is better where \
    that excludes 1.</p>\n";

/// All of it.
pub fn write(results: &Results, tables: &[Table]) -> String {
    let mut text = format!("{HEAD}<table>\n");
    for (name, value) in results.facts() {
        text += &format!("<tr><th>{}<td>{}\n", escaped(&name), escaped(&value));
    }
    text += "</table>\n";
    for (title, lines) in words::verdicts(tables) {
        text += &format!("<h2>{title}</h2>\n<ul>\n");
        for line in &lines {
            text += &format!("<li>{}\n", escaped(line));
        }
        text += "</ul>\n";
    }
    tables.iter().for_each(|table| write_table(table, &mut text));
    text
}

fn write_table(table: &Table, text: &mut String) {
    *text += &format!("<h2>{}</h2>\n<p>{}</p>\n<table>\n<tr><th>\n", table.name, escaped(table.about));
    for kind in &table.kinds {
        *text += &format!("<th>{kind}");
    }
    table.rows.iter().for_each(|row| write_row(row, text));
    text.push_str("\n</table>\n");
    for note in &table.notes {
        *text += &format!("<p><small>{}</small></p>\n", escaped(note));
    }
}

fn write_row(row: &Row, text: &mut String) {
    *text += &format!("\n<tr><th>{} ({})", escaped(row.column.name), row.column.unit.text());
    for cell in &row.cells {
        let cell = cell.map(|cell| format!("{}<br><small>{}</small>", cell.values(), cell.comparison()));
        *text += &format!("<td>{}", cell.unwrap_or_default());
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
