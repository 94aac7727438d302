//! What a cell shows of its block: a letter, which says it all, and a colour, which says it at a glance.

use dimmer_oracle::zone::Zone;
use ratatui::style::{Color, Modifier, Style};

use crate::layout::{Block, BlockState};

/// What a cell shows. A zone is that of an online block, `None` where it has no single one, and else the one that plain
/// `online` would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Online.
    Online(Option<Zone>),
    /// Online, but its device has only a part of it plugged.
    Partly(Option<Zone>),
    /// Offline.
    Offline(Option<Zone>),
    /// On its way offline, or in a state that is not known.
    Going,
    /// A memory error was reported in it.
    Poisoned,
    /// Plugged as the machine has it, and not there as the guest has it.
    Missing,
    /// Not plugged.
    Absent,
}

/// The letters with their meaning, as the legend has them.
pub const LEGEND: [(Look, &str); 9] = [
    (Look::Online(Some(Zone::Movable)), "Movable"),
    (Look::Online(Some(Zone::Normal)), "Normal"),
    (Look::Online(Some(Zone::Dma32)), "DMA32"),
    (Look::Offline(Some(Zone::Movable)), "offline, would go there"),
    (Look::Partly(Some(Zone::Movable)), "partly plugged"),
    (Look::Going, "going offline"),
    (Look::Poisoned, "poisoned"),
    (Look::Missing, "not in the guest"),
    (Look::Absent, "not plugged"),
];

impl Look {
    /// What a block of the guest's looks like.
    pub fn of(block: &Block, poisoned: bool, partly: bool) -> Self {
        let zone = block.zones.first().and_then(|word| named(word));
        match block.state {
            _ if poisoned => Self::Poisoned,
            BlockState::Online if partly => Self::Partly(zone),
            BlockState::Online => Self::Online(zone),
            BlockState::Offline => Self::Offline(zone),
            BlockState::GoingOffline | BlockState::Other(_) => Self::Going,
        }
    }

    /// The letter.
    pub fn letter(self) -> char {
        let capital = |zone| match zone {
            Some(Zone::Dma | Zone::Dma32) => 'D',
            Some(Zone::Normal) => 'N',
            Some(Zone::Movable) => 'M',
            None => '-',
        };
        match self {
            Self::Online(zone) => capital(zone),
            Self::Offline(zone) => capital(zone).to_ascii_lowercase(),
            Self::Partly(_) => '%',
            Self::Going => 'g',
            Self::Poisoned => 'X',
            Self::Missing => '!',
            Self::Absent => '·',
        }
    }

    /// How it is drawn; without colours, by weight alone.
    pub fn style(self, coloured: bool) -> Style {
        let style = Style::new();
        if !coloured {
            return match self {
                Self::Online(_) | Self::Partly(_) => style,
                Self::Offline(_) | Self::Absent => style.add_modifier(Modifier::DIM),
                Self::Going | Self::Poisoned | Self::Missing => style.add_modifier(Modifier::BOLD),
            };
        }
        match self {
            Self::Online(zone) => style.fg(Color::Black).bg(colour(zone)),
            Self::Partly(zone) => style.fg(Color::Black).bg(colour(zone)).add_modifier(Modifier::UNDERLINED),
            Self::Offline(zone) => style.fg(colour(zone)),
            Self::Going => style.fg(Color::Black).bg(Color::LightMagenta),
            Self::Poisoned | Self::Missing => {
                style.fg(Color::White).bg(Color::Red).add_modifier(Modifier::BOLD)
            }
            Self::Absent => style.fg(Color::DarkGray),
        }
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

/// The zone of this name.
pub fn named(word: &str) -> Option<Zone> {
    Zone::ALL.into_iter().find(|zone| zone.name() == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::sample::blocks;

    fn look(state: BlockState, zone: &str) -> Look {
        Look::of(&blocks(0, 0, state, &[zone])[0], false, false)
    }

    #[test]
    fn each_state_has_a_letter_of_its_own() {
        use BlockState::{GoingOffline, Offline, Online, Other};
        let looks = [
            look(Online, "Movable"),
            look(Online, "Normal"),
            look(Online, "DMA32"),
            look(Online, "none"),
            look(Offline, "Movable"),
            look(Offline, "Normal"),
            look(GoingOffline, "Movable"),
            look(Other("asleep".into()), "Movable"),
            Look::of(&blocks(0, 0, Online, &["Movable"])[0], false, true),
            Look::of(&blocks(0, 0, Offline, &["Movable"])[0], true, false),
        ];
        assert_eq!(looks.map(Look::letter).iter().collect::<String>(), "MND-mngg%X");
    }

    #[test]
    fn without_colours_nothing_is_coloured() {
        for (look, meaning) in LEGEND {
            let style = look.style(false);
            assert_eq!((style.fg, style.bg), (None, None), "{meaning}");
            assert_ne!((look.style(true).fg, look.style(true).bg), (None, None), "{meaning}");
        }
    }
}
