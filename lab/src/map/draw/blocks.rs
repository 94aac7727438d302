//! The blocks, what their letters mean, and what is said of the chosen one.

use ratatui::style::{Modifier, Stylize};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Paragraph, Wrap};

use super::Palette;
use super::geometry::Geometry;
use super::style::style;
use crate::map::look::{LEGEND, Look};
use crate::map::sheet::Row;
use crate::map::view::View;
use crate::map::words;

/// The lines of the map that are on the screen.
pub fn lines(view: &View, geometry: &Geometry, palette: Palette) -> Text<'static> {
    if view.rows.is_empty() {
        let text = if view.seen.is_some() { "The guest shows no memory blocks." } else { "" };
        return Text::from(text);
    }
    let place = view.place();
    let height = usize::from(geometry.map_height());
    let shown = view.rows.iter().enumerate().skip(view.top).take(height);
    let line = |(number, row)| {
        let chosen = place.filter(|(row, _)| *row == number).map(|(_, column)| column);
        self::line(row, view.name_width(), chosen, palette)
    };
    shown.map(line).collect()
}

fn line(row: &Row, width: usize, chosen: Option<usize>, palette: Palette) -> Line<'static> {
    match row {
        Row::Node(text) => Line::from(text.clone()).bold(),
        Row::Gap(blocks) => {
            let plural = if *blocks == 1 { "block" } else { "blocks" };
            let text = format!("{:width$}        · {blocks} more {plural} not plugged", "");
            Line::styled(text, palette.quiet())
        }
        Row::Cells { name, first, cells } => {
            let name = format!("{:width$} ", shortened(name, width));
            let mut spans = vec![Span::from(name), Span::styled(format!("{first:>6}  "), palette.quiet())];
            let cells = cells.iter().enumerate();
            spans.extend(cells.map(|(column, look)| cell(*look, chosen == Some(column), palette)));
            Line::from(spans)
        }
    }
}

fn cell(look: Option<Look>, is_chosen: bool, palette: Palette) -> Span<'static> {
    let Some(look) = look else { return Span::from(" ") };
    let style = style(look, palette.coloured);
    let style = if is_chosen { style.add_modifier(Modifier::REVERSED | Modifier::BOLD) } else { style };
    Span::styled(look.letter().to_string(), style)
}

/// A name that is no longer than `width`.
fn shortened(name: &str, width: usize) -> String {
    if name.chars().count() <= width {
        return name.to_owned();
    }
    name.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// What the letters mean.
pub fn legend(palette: Palette) -> Paragraph<'static> {
    let mut spans = vec![Span::from(" ")];
    for (look, meaning) in LEGEND {
        spans.push(Span::styled(look.letter().to_string(), style(look, palette.coloured)));
        // A meaning stays in one line.
        spans.push(Span::styled(format!(" {}  ", meaning.replace(' ', "\u{a0}")), palette.quiet()));
    }
    Paragraph::new(Line::from(spans)).wrap(Wrap { trim: true })
}

/// The chosen block in words.
pub fn chosen(view: &View) -> Line<'static> {
    let Some((row, column)) = view.place() else { return Line::default() };
    let (Some(Row::Cells { first, .. }), Some(seen)) = (view.rows.get(row), &view.seen) else {
        return Line::default();
    };
    let index = first + column as u64;
    Line::from(vec![
        Span::from(format!(" block {index}: ")).bold(),
        Span::from(words::block(seen, index).join(", ")),
    ])
}
