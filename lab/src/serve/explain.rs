//! What there is to say of one block or device of a machine.

use dimmer::units::Bytes;
use dimmer_devices::memory::{GuestRange, MemoryStatus};
use serde::Serialize;

use crate::layout::BlockState;
use crate::map::outlook::would_go;
use crate::map::seen::Seen;
use crate::map::words;

/// A heading, and sentences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// What it is about.
    pub title: String,
    /// What there is to say, a sentence each.
    pub lines: Vec<String>,
}

/// A block: where it is, what it shows, and what plain `online` would make of it.
pub fn block(seen: &Seen, index: u64) -> Explained {
    let mut lines = words::block(seen, index);
    if let Some(block) = seen.block(index) {
        if block.state == BlockState::Online && block.group.is_none() && seen.device(index).is_none() {
            lines.push("boot memory: its zone follows from its address".to_owned());
        } else {
            let who =
                if block.state == BlockState::Online { "one more block like it" } else { "plain online" };
            lines.push(match would_go(seen, index) {
                Ok(decision) => format!("{who} would go to {decision}"),
                Err(why) => format!("where {who} would go is not known: {why}"),
            });
        }
        if block.removable == Some(false) {
            lines.push("the kernel says that it cannot go offline".to_owned());
        }
    }
    Explained { title: format!("Block {index}"), lines }
}

/// A device: what it is, where, and how its last change ended. Nothing when there is no such device.
pub fn device(seen: &Seen, id: &str) -> Option<Explained> {
    let device = seen.devices.iter().find(|device| device.id == id)?;
    let [_, kind, node, amount, state] = words::device(device);
    let mut lines = vec![format!("{kind} on node {node}: {amount} plugged, {state}"), places(device)];
    let blocks: Vec<_> = seen
        .layout
        .blocks
        .iter()
        .filter(|block| seen.device(block.index).is_some_and(|holder| holder.id == id))
        .collect();
    let offline = blocks.iter().filter(|block| block.state == BlockState::Offline).count();
    lines.push(format!("the guest shows {} of its blocks, {offline} of them offline", blocks.len()));
    lines.extend(device.waits_for.as_ref().map(|other| format!("it waits until {other} is ejected")));
    let mut doubts = crate::devices::Devices::read(&serde_json::json!([device])).doubts(&seen.layout);
    lines.append(&mut doubts);
    Some(Explained { title: format!("Device {id}"), lines })
}

fn places(device: &MemoryStatus) -> String {
    let place = |range: &GuestRange| format!("{:#x}, {}", range.start, Bytes(range.size));
    let places: Vec<String> = device.ranges.iter().map(place).collect();
    let unit = format!("in units of {}", Bytes(device.block_size));
    format!("at {}; {unit}", places.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::sample;

    #[test]
    fn a_block_says_where_it_is_and_where_it_would_go() {
        let mut seen = sample::seen();
        seen.layout.zones = sample::zones();
        let text = |index| block(&seen, index).lines.join("; ");
        assert!(
            text(50).contains("d0 at 0x190000000") && text(50).contains("one more block like it would go to"),
            "{}",
            text(50)
        );
        assert!(text(40).contains("its zone follows from its address"), "{}", text(40));
        assert!(text(62).contains("the guest has no such block"), "{}", text(62));
        assert!(text(70).contains("2 MiB of it plugged"), "{}", text(70));
    }

    #[test]
    fn a_device_says_what_it_has_and_what_is_odd() {
        let seen = sample::seen();
        let text = |id: &str| device(&seen, id).unwrap().lines.join("; ");
        assert!(
            text("d0").contains("DIMM on node 0: 1 GiB plugged, plugged; at 0x180000000, 1 GiB"),
            "{}",
            text("d0")
        );
        assert!(text("d1").contains("does not show its blocks 62-63"), "{}", text("d1"));
        assert!(
            text("vmem0").contains("the guest shows 8 of its blocks, 0 of them offline"),
            "{}",
            text("vmem0")
        );
        assert_eq!(device(&seen, "d9"), None);
    }
}
