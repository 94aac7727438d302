//! How two layouts differ, a line for each thing that does.

use std::collections::{HashMap, HashSet};

use super::{Layout, Zone, text};
use crate::devices::Devices;

/// How `after` differs from `before`: `-` for what was and `+` for what is, in the words of the text
/// form. Empty when the two are equal but for what is pending.
pub fn difference(before: &Layout, after: &Layout) -> Vec<String> {
    let (was, is) = (lines(before), lines(after));
    let mut lines = missing(&was, &is, '-');
    lines.extend(missing(&is, &was, '+'));
    lines.extend(details(before, after));
    lines
}

/// The lines of `some` that are not in `others`.
fn missing(some: &[String], others: &[String], sign: char) -> Vec<String> {
    let others: HashSet<_> = others.iter().collect();
    some.iter().filter(|line| !others.contains(line)).map(|line| format!("{sign} {line}")).collect()
}

/// Everything that the text form and the parameters say of a layout, a line each.
fn lines(layout: &Layout) -> Vec<String> {
    let text = text(layout, &Devices::default());
    let blocks = text.lines().map(unaligned);
    blocks.chain(layout.zones.iter().map(zone)).chain(parameters(layout)).collect()
}

/// A line without its alignment, which depends on the other lines.
fn unaligned(line: &str) -> String {
    format!("blocks {}", line.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
}

fn zone(zone: &Zone) -> String {
    let Zone { node, name, start_pfn, spanned, present, managed, present_early } = zone;
    let early = present_early.map_or_else(String::new, |early| format!(" early {early}"));
    format!(
        "node {node} {name}: start_pfn {start_pfn} spanned {spanned} present {present}{early} managed {managed}"
    )
}

fn parameters(layout: &Layout) -> [String; 7] {
    fn shown<T: ToString>(value: Option<&T>) -> String {
        value.map_or_else(|| "unknown".to_owned(), T::to_string)
    }
    [
        format!("kernel {}, block size {}", layout.kernel, layout.block_size),
        format!("auto_online_blocks {}", shown(layout.auto_online_blocks.as_ref())),
        format!("online_policy {}", shown(layout.online_policy.as_ref())),
        format!("auto_movable_ratio {}", shown(layout.auto_movable_ratio.as_ref())),
        format!("auto_movable_numa_aware {}", shown(layout.auto_movable_numa_aware.as_ref())),
        format!("MemTotal {} kB", shown(layout.mem_total_kb.as_ref())),
        format!("HardwareCorrupted {} kB", shown(layout.hardware_corrupted_kb.as_ref())),
    ]
}

/// The blocks that differ in what the text form leaves out.
fn details(before: &Layout, after: &Layout) -> Option<String> {
    let was: HashMap<_, _> = before.blocks.iter().map(|block| (block.index, block)).collect();
    let changed = after.blocks.iter().filter(|is| {
        was.get(&is.index).is_some_and(|was| was.removable != is.removable || was.group != is.group)
    });
    let changed: Vec<_> = changed.map(|block| block.index.to_string()).collect();
    (!changed.is_empty())
        .then(|| format!("~ blocks {}: removable, or the pages of the group", changed.join(",")))
}

#[cfg(test)]
mod tests {
    use super::super::BlockState::{GoingOffline, Online};
    use super::super::sample::{blocks, in_group, layout};
    use super::*;

    #[test]
    fn equal_layouts_do_not_differ() {
        let layout = layout([blocks(0, 47, Online, &["Normal"])]);
        let busy = Layout { pending: vec!["block 3 is going offline".into()], ..layout.clone() };
        assert_eq!(difference(&layout, &busy), Vec::<String>::new());
    }

    #[test]
    fn changed_runs_zones_and_parameters_are_shown_both_ways() {
        let before = layout([blocks(0, 0, Online, &["none"]), blocks(48, 63, Online, &["Movable"])]);
        let mut after = layout([
            blocks(0, 0, Online, &["none"]),
            blocks(48, 62, Online, &["Movable"]),
            blocks(63, 63, GoingOffline, &["Movable", "Normal"]),
        ]);
        after.zones[0].present = 4;
        after.auto_movable_ratio = None;
        let expected = [
            "- blocks 48-63 online Movable node 0",
            "- node 0 Movable: start_pfn 0 spanned 0 present 5 managed 0",
            "- auto_movable_ratio 301",
            "+ blocks 48-62 online Movable node 0",
            "+ blocks 63 going-offline Movable,Normal node 0",
            "+ node 0 Movable: start_pfn 0 spanned 0 present 4 managed 0",
            "+ auto_movable_ratio unknown",
        ];
        assert_eq!(difference(&before, &after), expected);
    }

    #[test]
    fn what_the_text_form_leaves_out_is_not_lost() {
        let before = layout([in_group(blocks(48, 49, Online, &["Movable"]), 0)]);
        let mut after = before.clone();
        after.blocks[1].group.as_mut().unwrap().present_movable = 7;
        assert_eq!(difference(&before, &after), ["~ blocks 49: removable, or the pages of the group"]);
        after.blocks.pop();
        after.blocks[0].removable = None;
        let last = difference(&before, &after).pop().unwrap();
        assert_eq!(last, "~ blocks 48: removable, or the pages of the group");
    }
}
