//! The verdicts in words: where another program is better, where Dimmer is, and where the rounds do not say.

use super::{Kind, Table};

/// A title and its lines, for each of the three that has any.
pub fn verdicts(tables: &[Table]) -> Vec<(&'static str, Vec<String>)> {
    let (mut theirs, mut ours, mut open) = (Vec::new(), Vec::new(), Vec::new());
    for table in tables {
        for row in &table.rows {
            for (kind, cell) in table.kinds.iter().zip(&row.cells) {
                let Some((cell, ratio)) = cell.as_ref().and_then(|cell| Some((cell, cell.ratio?))) else {
                    continue;
                };
                let what = format!("{}, {}", table.name, row.column.name);
                let numbers = format!("{:.2} ({:.2}–{:.2})", ratio.ratio, ratio.low, ratio.high);
                match cell.winner {
                    None => open.push(format!("{what}: {numbers} of {kind}'s")),
                    Some(Kind::Dimmer) => ours.push(format!("{what}: {numbers} of {kind}'s")),
                    Some(_) => theirs.push(format!("{what}: {kind}; Dimmer has {numbers} of its value")),
                }
            }
        }
    }
    let all = [
        ("Where others are better", theirs),
        ("Where Dimmer is better", ours),
        ("Where the rounds do not say", open),
    ];
    all.into_iter().filter(|(_, lines)| !lines.is_empty()).collect()
}
