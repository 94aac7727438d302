//! Where the next memory would go, and why, in the oracle's words.

use ratatui::style::{Style, Stylize};
use ratatui::text::{Line, Span};

use super::super::Palette;
use super::super::style::style;
use crate::map::look::Look;
use crate::map::outlook::Next;
use crate::map::words::gib;

/// The lines of the pane, which is so wide.
pub fn lines(outlook: &Result<Vec<Next>, String>, palette: Palette, width: usize) -> Vec<Line<'static>> {
    let styled = |text: &str, style: Style| {
        wrapped(text, width).into_iter().map(move |line| Line::styled(line, style))
    };
    let all = match outlook {
        Ok(all) => all,
        Err(why) => return styled(&format!("Not known: {why}."), palette.quiet()).collect(),
    };
    let mut lines = Vec::new();
    for next in all {
        let zone = next.decision.zone;
        let offline = if next.comes_offline { " comes offline, then " } else { ": " };
        lines.push(Line::from(vec![
            Span::from(format!("{}{offline}", next.what)),
            Span::styled(format!(" {zone} "), style(Look::Online(Some(zone)), palette.coloured)).bold(),
        ]));
        let why = next.decision.to_string();
        let why = why.split_once(": ").map_or(why.as_str(), |(_, why)| why);
        lines.extend(styled(&format!("  because {why}"), Style::new()));
        if let Some((movable, most)) = next.sums() {
            let text = format!("  ({} movable with it, at most {})", gib(movable), gib(most));
            lines.extend(styled(&text, palette.quiet()));
        }
    }
    lines
}

/// A text in lines of at most `width` letters, where its words are no longer; the others are moved to the right.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let indent = text.len() - text.trim_start().len();
    let mut lines = vec![" ".repeat(indent)];
    for word in text.split_whitespace() {
        let begun = lines.last().map_or(0, |line| line.chars().count());
        let is_first = lines.last().is_some_and(|line| line.trim().is_empty());
        if !is_first && begun + 1 + word.chars().count() > width {
            lines.push(" ".repeat(indent + 2));
        }
        if let Some(line) = lines.last_mut() {
            if !line.trim().is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_broken_between_words() {
        assert_eq!(wrapped("  because 1+2 <= 4", 13), ["  because 1+2", "    <= 4"]);
        assert_eq!(wrapped("enormous", 3), ["enormous"]);
    }
}
