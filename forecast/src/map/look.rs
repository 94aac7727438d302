//! What a cell shows of its block, and the letter that says it all.

use dimmer_oracle::zone::Zone;

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
}
