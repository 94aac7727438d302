//! What a guest showed of its memory after one step.

use dimmer_agent::report::{Block, Layout};
use serde::{Deserialize, Serialize};

use super::Difference;
use crate::devices::Devices;
use crate::expect;
use crate::scenario::{Scenario, Step};

/// What a guest showed of its memory after one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The step; 0 is the boot.
    pub step: usize,
    /// What it did.
    pub action: String,
    /// The blocks, ascending.
    pub blocks: Vec<Run>,
}

/// Neighbouring blocks that show the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// What they show: `Movable`, `offline:Normal/Movable`, with the node where it is not node 0.
    pub shows: String,
    /// Their memory device; empty for boot RAM.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub device: String,
}

impl Frame {
    /// What `layout` shows after step number `step` of a scenario.
    pub fn new(scenario: &Scenario, step: usize, layout: &Layout, devices: &Devices) -> Self {
        let wanted = step.checked_sub(1).and_then(|index| scenario.steps.get(index));
        let action = wanted.map_or_else(|| "boot".to_owned(), action);
        Self { step, action, blocks: runs(layout, devices) }
    }
}

/// The blocks of a layout, with their devices.
pub fn runs(layout: &Layout, devices: &Devices) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for block in &layout.blocks {
        let (shows, device) = (words(block), devices.of_block(block.index, layout.block_size));
        match runs.last_mut() {
            Some(run) if run.last + 1 == block.index && run.shows == shows && run.device == device => {
                run.last = block.index;
            }
            _ => runs.push(Run { first: block.index, last: block.index, shows, device }),
        }
    }
    runs
}

/// Blocks of which some are `seen` otherwise than they were to be, as `differences` say: as they were to be. `None` where no
/// difference is about what blocks show.
pub fn expected(seen: &[Run], differences: &[Difference]) -> Option<Vec<Run>> {
    let mut expected = seen.to_vec();
    let mut is_changed = false;
    for difference in differences {
        let Some((first, last)) = difference.blocks() else { continue };
        is_changed = true;
        replace(
            &mut expected,
            Run { first, last, shows: difference.expected.clone(), device: String::new() },
        );
    }
    expected.retain(|run| run.shows != dimmer_oracle::words::ABSENT);
    is_changed.then_some(expected)
}

/// Puts `new` in place of what `runs` has of these blocks; its device stays as it was.
fn replace(runs: &mut Vec<Run>, mut new: Run) {
    let mut rest = Vec::with_capacity(runs.len() + 2);
    for run in runs.drain(..) {
        if run.last < new.first || new.last < run.first {
            rest.push(run);
            continue;
        }
        new.device.clone_from(&run.device);
        if run.first < new.first {
            rest.push(Run { last: new.first - 1, ..run.clone() });
        }
        if new.last < run.last {
            rest.push(Run { first: new.last + 1, ..run });
        }
    }
    rest.push(new);
    rest.sort_by_key(|run| run.first);
    *runs = rest;
}

/// What a block shows, in the words of differences.
fn words(block: &Block) -> String {
    let shows = expect::shows(block);
    if block.nodes == [0] { shows } else { shows + &dimmer_oracle::words::nodes(&block.nodes) }
}

/// A step in a line: its key and what it says.
fn action(step: &Step) -> String {
    let step = Step { expect: None, ..step.clone() };
    let name = step.action().name();
    let value = serde_json::to_value(&step).unwrap_or_default();
    match value.get(name) {
        None | Some(serde_json::Value::Null) => name.to_owned(),
        Some(value) if value.as_object().is_some_and(serde_json::Map::is_empty) => name.to_owned(),
        Some(value) => format!("{name} {value}"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use dimmer_agent::report::BlockState::{Offline, Online};
    use serde_json::json;

    use super::*;
    use crate::layout::sample::{blocks, layout};

    fn frame(step: usize) -> Frame {
        let text = "shows = \"A\"\n[machine]\nmemory_hotplug = [\"method=acpi,slots=4,size=8G\"]\n[[step]]\n\
            plug = { id = \"d0\", size = \"1G\" }\nexpect = { ost = \"1,0\" }\n[[step]]\nsettle = {}\n";
        let scenario = Scenario::parse(text, Path::new("a.toml")).unwrap();
        let mut other_node = blocks(56, 57, Online, &["Movable"]);
        other_node.iter_mut().for_each(|block| block.nodes = vec![1]);
        let layout = layout([
            blocks(0, 0, Online, &["none"]),
            blocks(48, 53, Online, &["Movable"]),
            blocks(54, 55, Offline, &["Movable", "Normal"]),
            other_node,
        ]);
        let devices = json!([{"id": "d0", "ranges": [{"start": 50u64 << 27, "size": 8u64 << 27}]}]);
        Frame::new(&scenario, step, &layout, &Devices::read(&devices))
    }

    fn text(runs: &[Run]) -> Vec<String> {
        runs.iter().map(|run| format!("{}-{} {} {}", run.first, run.last, run.shows, run.device)).collect()
    }

    #[test]
    fn equal_neighbours_of_one_device_are_one_run() {
        let expected = [
            "0-0 none ",
            "48-49 Movable ",
            "50-53 Movable d0",
            "54-55 offline:Movable/Normal d0",
            "56-57 Movable node 1 d0",
        ];
        assert_eq!(text(&frame(0).blocks), expected);
        assert_eq!(frame(0).action, "boot");
        assert_eq!(frame(1).action, r#"plug {"id":"d0","node":0,"notify":"device-check","size":"1G"}"#);
        assert_eq!(frame(2).action, "settle");
    }

    #[test]
    fn what_was_expected_is_put_over_what_was_seen() {
        let difference =
            |what: &str, expected: &str| Difference::oracle(what, expected.into(), "other".into());
        let all = [
            difference("blocks 52-54", "Normal"),
            difference("block 56", "absent"),
            difference("block 60", "Movable"),
            difference("_OST", "0x1"),
        ];
        let expected = [
            "0-0 none ",
            "48-49 Movable ",
            "50-51 Movable d0",
            "52-54 Normal d0",
            "55-55 offline:Movable/Normal d0",
            "57-57 Movable node 1 d0",
            "60-60 Movable ",
        ];
        assert_eq!(text(&super::expected(&frame(1).blocks, &all).unwrap()), expected);
        assert_eq!(super::expected(&frame(1).blocks, &all[3..]), None);
    }
}
