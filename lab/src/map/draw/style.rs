//! How a cell is drawn: a colour, which says at a glance what the letter says.

use dimmer_oracle::zone::Zone;
use ratatui::style::{Color, Modifier, Style};

use crate::map::look::Look;

/// How it is drawn; without colours, by weight alone.
pub fn style(look: Look, coloured: bool) -> Style {
    let style = Style::new();
    if !coloured {
        return match look {
            Look::Online(_) | Look::Partly(_) => style,
            Look::Offline(_) | Look::Absent => style.add_modifier(Modifier::DIM),
            Look::Going | Look::Poisoned | Look::Missing => style.add_modifier(Modifier::BOLD),
        };
    }
    match look {
        Look::Online(zone) => style.fg(Color::Black).bg(colour(zone)),
        Look::Partly(zone) => style.fg(Color::Black).bg(colour(zone)).add_modifier(Modifier::UNDERLINED),
        Look::Offline(zone) => style.fg(colour(zone)),
        Look::Going => style.fg(Color::Black).bg(Color::LightMagenta),
        Look::Poisoned | Look::Missing => style.fg(Color::White).bg(Color::Red).add_modifier(Modifier::BOLD),
        Look::Absent => style.fg(Color::DarkGray),
    }
}

/// The colour of a zone.
const fn colour(zone: Option<Zone>) -> Color {
    match zone {
        Some(Zone::Movable) => Color::Green,
        Some(Zone::Normal) => Color::Yellow,
        Some(Zone::Dma | Zone::Dma32) => Color::Cyan,
        None => Color::Gray,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::look::LEGEND;

    #[test]
    fn without_colours_nothing_is_coloured() {
        for (look, meaning) in LEGEND {
            let plain = style(look, false);
            assert_eq!((plain.fg, plain.bg), (None, None), "{meaning}");
            assert_ne!((style(look, true).fg, style(look, true).bg), (None, None), "{meaning}");
        }
    }
}
