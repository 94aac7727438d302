//! A report as a document.

use super::{Results, Row, Table, words};

const HEAD: &str = "# Performance: Dimmer and others, side by side

Made by `dimmer-lab bench --format markdown`. Every program starts the same kernel, initramfs and command line from memory, in a
machine of one processor and 1 GiB, one after the other in each round, and so meets the same host. A number is the median of the
rounds, with the least and the most. A ratio is the median of the rounds' ratios, **Dimmer's value by the other's**, with the
interval that 95 % of the medians lie in when rounds are drawn anew from those that there are (a paired bootstrap). Below 1 Dimmer
takes less; of MiB/s more is better. Who is better is said only where the interval excludes 1 and there are at least five
rounds; of so many comparisons a few do that by chance. Times in an emulated host are no times of hardware: there an exit to
the host costs many times what it costs a processor.
";

/// All of it.
pub fn write(results: &Results, tables: &[Table]) -> String {
    let mut text = format!("{HEAD}\n| | |\n|---|---|\n");
    for (name, value) in results.facts() {
        text += &format!("| {name} | {value} |\n");
    }
    for (title, lines) in words::verdicts(tables) {
        text += &format!("\n## {title}\n\n");
        for line in &lines {
            text += &format!("- {line}\n");
        }
    }
    text += "\n## All numbers\n";
    tables.iter().for_each(|table| write_table(table, &mut text));
    text
}

fn write_table(table: &Table, text: &mut String) {
    let names = table.kinds.iter().map(|kind| format!(" {kind} |"));
    *text += &format!("\n### {}\n\n{}\n\n", table.name, wrapped(table.about));
    *text += &format!("| |{}\n", names.collect::<String>());
    *text += &format!("|---|{}\n", "---|".repeat(table.kinds.len()));
    table.rows.iter().for_each(|row| write_row(row, text));
    if !table.notes.is_empty() {
        text.push('\n');
        for note in &table.notes {
            *text += &format!("- {}\n", note.replace('\n', " "));
        }
    }
}

/// The text in lines as long as others of the document.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 120;
    let (mut all, mut length) = (String::new(), 0);
    for word in text.split_whitespace() {
        let size = word.chars().count();
        let fits = length + 1 + size <= WIDTH;
        let between = if length == 0 {
            ""
        } else if fits {
            " "
        } else {
            "\n"
        };
        length = if fits && length > 0 { length + 1 + size } else { size };
        all += between;
        all += word;
    }
    all
}

fn write_row(row: &Row, text: &mut String) {
    *text += &format!("| {} ({}) |", row.column.name, row.column.unit.text());
    for cell in &row.cells {
        let cell = cell.map(|cell| match cell.comparison() {
            none if none.is_empty() => cell.values(),
            comparison => format!("{}<br>{comparison}", cell.values()),
        });
        *text += &format!(" {} |", cell.unwrap_or_default());
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_no_longer_than_others_and_nothing_is_lost() {
        let text = "word ".repeat(60);
        let wrapped = wrapped(&text);
        assert_eq!(wrapped.lines().count(), 3);
        assert!(wrapped.lines().all(|line| line.len() <= 120 && line.starts_with("word")));
        assert_eq!(wrapped.split_whitespace().count(), 60);
    }
}
