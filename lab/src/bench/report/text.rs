//! A report for a terminal: for each measure a line for each number and program.

use super::{Results, Table, words};

/// All of it.
pub fn write(results: &Results, tables: &[Table]) -> String {
    let mut text = String::new();
    for (name, value) in results.facts() {
        text += &format!("{name:<18}{value}\n");
    }
    for table in tables {
        text += &format!("\n{}: median (least–most); Dimmer's by the other's, its interval\n", table.name);
        for row in &table.rows {
            text += &format!("  {} ({})\n", row.column.name, row.column.unit.text());
            for (kind, cell) in table.kinds.iter().zip(&row.cells) {
                let Some(cell) = cell else { continue };
                let line = format!("    {kind:<18}{:<26}{}", cell.values(), cell.comparison());
                text += &format!("{}\n", line.trim_end());
            }
        }
        for note in &table.notes {
            text += &format!("  {note}\n");
        }
    }
    for (title, lines) in words::verdicts(tables) {
        text += &format!("\n{title}\n");
        for line in &lines {
            text += &format!("  {line}\n");
        }
    }
    text
}
