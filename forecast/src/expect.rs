//! Layouts as a person writes them, held against what a guest shows.
//!
//! `"0 none, 1-15 DMA32, 48-143 Movable"` names every block that is to exist, with its
//! `valid_zones`; words of one block are joined by `/`. A block that is not online has its state in
//! front: `"48-49 offline:Normal/Movable"`. One that is not to exist may be called `absent`. A node is looked at where
//! it is named: `"48-55 Movable node 1"`.

use std::collections::BTreeMap;

use dimmer_report::{BlockState, Layout};

use dimmer_oracle::zone::Zone;

/// Every block that is to exist, with what it is to show.
pub type Blocks = BTreeMap<u64, String>;

/// What is shown for a block that is not there.
const ABSENT: &str = "absent";
/// The states that are written in front of zones.
const STATES: [BlockState; 2] = [BlockState::Offline, BlockState::GoingOffline];
/// Between what a block shows and its node.
const NODE: &str = " node ";
/// What stands for a block of several zones or nodes.
const NONE: &str = "none";
/// Most blocks in one range, so that a slip of the pen is no endless list.
const MOST: u64 = 1 << 20;

/// The text is no layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a block or a range of blocks and its zones, such as `48-143 Movable`, `0 none` or \
     `48-49 offline:Normal/Movable`"
)]
pub struct NotALayout(String);

/// Reads a layout.
///
/// # Errors
/// [`NotALayout`] quotes the part that is wrong.
pub fn parse(text: &str) -> Result<Blocks, NotALayout> {
    let mut blocks = Blocks::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let wrong = || NotALayout(part.to_owned());
        let (range, shows) = part.split_once(' ').ok_or_else(wrong)?;
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
        let (first, last) = (number(first)?, number(last)?);
        let shows = shows.trim();
        if first > last
            || last - first >= MOST
            || !can_show(shows)
            || blocks.range(first..=last).next().is_some()
        {
            return Err(wrong());
        }
        blocks.extend((first..=last).map(|index| (index, shows.to_owned())));
    }
    Ok(blocks)
}

/// Whether a block can show this.
fn can_show(text: &str) -> bool {
    let (text, node) = text.split_once(NODE).map_or((text, None), |(text, node)| (text, Some(node)));
    if node.is_some_and(|node| node.parse::<u32>().is_err()) {
        return false;
    }
    let state = STATES.iter().find_map(|state| text.strip_prefix(&format!("{state}:")));
    let is_zone = |word: &str| Zone::ALL.iter().any(|zone| zone.name() == word);
    text == ABSENT || state.unwrap_or(text).split('/').all(|word| word == NONE || is_zone(word))
}

/// What a guest shows, in the same words.
pub fn seen(layout: &Layout) -> Blocks {
    layout.blocks.iter().map(|block| (block.index, shows(block))).collect()
}

/// What a guest shows, with the node of each block for which `wanted` names one.
pub fn seen_as(wanted: &Blocks, layout: &Layout) -> Blocks {
    let names_node = |index| wanted.get(&index).is_some_and(|words| words.contains(NODE));
    let words = |block: &dimmer_report::Block| match &block.nodes[..] {
        [node] if names_node(block.index) => format!("{}{NODE}{node}", shows(block)),
        _ => shows(block),
    };
    layout.blocks.iter().map(|block| (block.index, words(block))).collect()
}

/// What a guest shows of one block.
pub fn shows(block: &dimmer_report::Block) -> String {
    let zones = block.zones.join("/");
    match block.state {
        BlockState::Online => zones,
        ref other => format!("{other}:{zones}"),
    }
}

/// Neighbouring blocks for which expectation, sight and device are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// First block.
    pub first: u64,
    /// Last block.
    pub last: u64,
    /// What they are to show.
    pub expected: String,
    /// What they show.
    pub seen: String,
    /// The memory device that they belong to; empty for boot RAM.
    pub device: String,
}

impl Row {
    /// Whether the blocks are as expected.
    pub fn is_right(&self) -> bool {
        self.expected == self.seen
    }

    /// `48-143`, or `48` for one block.
    pub fn range(&self) -> String {
        match self.first == self.last {
            true => self.first.to_string(),
            false => format!("{}-{}", self.first, self.last),
        }
    }
}

/// Holds `expected` and `seen` against each other; `device` names the device of a block.
pub fn compare(expected: &Blocks, seen: &Blocks, device: impl Fn(u64) -> String) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut indices: Vec<u64> = expected.keys().chain(seen.keys()).copied().collect();
    indices.sort_unstable();
    indices.dedup();
    for index in indices {
        let show = |blocks: &Blocks| blocks.get(&index).map_or(ABSENT, String::as_str).to_owned();
        let row = Row {
            first: index,
            last: index,
            expected: show(expected),
            seen: show(seen),
            device: device(index),
        };
        match rows.last_mut() {
            Some(last)
                if last.last + 1 == index && row == (Row { first: index, last: index, ..last.clone() }) =>
            {
                last.last = index;
            }
            _ => rows.push(row),
        }
    }
    rows
}

/// The differences between an expected layout and what a guest shows, a line each; nothing when
/// there are none.
///
/// # Errors
/// [`NotALayout`] when the expectation cannot be read.
pub fn differences(expected: &str, layout: &Layout) -> Result<Vec<String>, NotALayout> {
    let rows = compare(&parse(expected)?, &seen(layout), |_| String::new());
    let line = |row: &Row| format!("{}: expected {}, seen {}", row.range(), row.expected, row.seen);
    Ok(rows.iter().filter(|row| !row.is_right()).map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::sample::{blocks, layout};

    #[test]
    fn a_layout_is_read_block_by_block() {
        let blocks = parse("0 none, 2-3 DMA32, 5 offline:Normal/Movable").unwrap();
        let shows: Vec<_> = blocks.iter().map(|(index, shows)| (*index, shows.as_str())).collect();
        assert_eq!(shows, [(0, "none"), (2, "DMA32"), (3, "DMA32"), (5, "offline:Normal/Movable")]);
    }

    #[test]
    fn what_is_no_layout_is_quoted() {
        for wrong in [
            "48-55 Movable node",
            "48-55 Movable node x",
            "48",
            "x Movable",
            "3-2 Normal",
            "1-5 Normal, 5 Movable",
            "48-55 Foo",
            "48 movable",
            "48 online:Movable",
            "48 offline:Movable/",
            "0-99999999999 Movable",
        ] {
            let error = parse(wrong).unwrap_err();
            assert!(wrong.contains(&error.0), "{error}");
        }
    }

    #[test]
    fn a_node_counts_where_it_is_named() {
        let wanted = parse("0-1 DMA32, 2-3 Movable node 1, 4 absent").unwrap();
        let mut layout = layout([
            blocks(0, 1, BlockState::Online, &["DMA32"]),
            blocks(2, 3, BlockState::Online, &["Movable"]),
        ]);
        layout.blocks[2].nodes = vec![1];
        let rows = compare(&wanted, &seen_as(&wanted, &layout), |_| String::new());
        let wrong: Vec<_> =
            rows.iter().filter(|row| !row.is_right()).map(|row| (row.first, row.seen.as_str())).collect();
        assert_eq!(wrong, [(3, "Movable node 0")]);
    }

    #[test]
    fn missing_extra_and_different_blocks_show() {
        let expected = parse("0-1 none, 2-3 Movable").unwrap();
        let seen = parse("0-1 none, 3 Normal, 4 Normal").unwrap();
        let rows = compare(&expected, &seen, |index| if index < 2 { "" } else { "d0" }.to_owned());
        let wrong: Vec<_> = rows
            .iter()
            .filter(|row| !row.is_right())
            .map(|row| (row.range(), row.expected.as_str(), row.seen.as_str(), row.device.as_str()))
            .collect();
        assert_eq!(
            wrong,
            [
                ("2".to_owned(), "Movable", "absent", "d0"),
                ("3".to_owned(), "Movable", "Normal", "d0"),
                ("4".to_owned(), "absent", "Normal", "d0"),
            ]
        );
    }
}
