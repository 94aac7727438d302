//! Memory groups: which blocks are in one, what kind it is, and how much of it is online where.
//!
//! The model's numbers of groups are not the kernel's, so a group goes by its lowest block.

use std::collections::BTreeMap;

use dimmer_oracle::group::{Group, GroupKind};
use dimmer_oracle::linux::Linux;
use dimmer_report::{Group as SeenGroup, GroupKind as SeenKind, Layout};

use super::{Difference, What};

const NO_GROUP: &str = "no group";

/// The blocks whose memory group is not as predicted; nothing when the guest does not tell
/// ([`Layout::groups_unknown`]).
pub fn groups(linux: &Linux, seen: &Layout) -> Vec<Difference> {
    let mut all = Vec::new();
    if seen.groups_unknown.is_some() || !linux.release.has_groups() {
        return all;
    }
    let (expected, seen) = (expected(linux), shown(seen));
    for (index, expected) in &expected {
        let text = seen.get(index).map_or(NO_GROUP, String::as_str);
        if expected != text {
            let what = What::Groups { first: *index, last: *index };
            let (expected, seen) = (expected.clone(), text.to_owned());
            super::add_block(&mut all, *index, Difference { what, expected, seen, why: String::new() });
        }
    }
    all
}

/// What each block's group is to be; blocks that only the guest has are somebody else's business.
fn expected(linux: &Linux) -> BTreeMap<u64, String> {
    let mut texts = BTreeMap::new();
    let blocks = linux.memory.blocks().iter();
    let text = |(index, block): (&u64, &dimmer_oracle::memory::Block)| {
        let id = block.group;
        let text = id.map_or(NO_GROUP.to_owned(), |id| {
            texts.entry(id).or_insert_with(|| in_words(linux.memory.group(id), *index)).clone()
        });
        (*index, text)
    };
    blocks.map(text).collect()
}

fn in_words(group: &Group, lowest: u64) -> String {
    let (kind, pages) = match group.kind {
        GroupKind::Static { max_pages } => ("static", max_pages),
        GroupKind::Dynamic { unit_pages } => ("dynamic", unit_pages),
    };
    words(kind, pages, lowest, Some(group.node), [group.present_kernel, group.present_movable])
}

fn shown(layout: &Layout) -> BTreeMap<u64, String> {
    let mut texts: BTreeMap<u32, String> = BTreeMap::new();
    let blocks = layout.blocks.iter().filter_map(|block| Some((block.index, block.group.as_ref()?)));
    blocks
        .map(|(index, group)| {
            (index, texts.entry(group.id).or_insert_with(|| seen_in_words(group, index)).clone())
        })
        .collect()
}

fn seen_in_words(group: &SeenGroup, lowest: u64) -> String {
    let (kind, pages) = match group.kind {
        SeenKind::Static => ("static", group.max_pages),
        SeenKind::Dynamic => ("dynamic", group.unit_pages),
    };
    let present = [group.present_kernel, group.present_movable];
    words(kind, pages.unwrap_or_default(), lowest, group.node, present)
}

/// `pages` is what a static group has at most, and the unit of a dynamic one.
fn words(kind: &str, pages: u64, lowest: u64, node: Option<u32>, [kernel, movable]: [u64; 2]) -> String {
    let node = node.map_or("an unknown node".to_owned(), |node| format!("node {node}"));
    format!(
        "{kind} group from block {lowest} of {pages} pages on {node}, {kernel} kernel and {movable} movable"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use dimmer_oracle::boot::{BootMemory, Core};
    use dimmer_oracle::linux::Settings;
    use dimmer_oracle::policy::{OnlineType, Policy};
    use dimmer_oracle::release::Release;

    const BLOCK: u64 = 128 << 20;

    fn two_dimms() -> Linux {
        let nodes = vec![(0..u64::MAX, 0)];
        let boot = BootMemory { usable: vec![0..640 << 10, 1 << 20..2 << 30], nodes };
        let settings = Settings { auto_online: Some(OnlineType::Kernel), ..Settings::default() };
        let mut linux = Linux::new(
            Release::new(6, 12),
            settings,
            boot.boot_with(Release::new(6, 12), Policy::default(), Core::default()),
        );
        linux.plug_dimm("a", std::slice::from_ref(&(32 * BLOCK..34 * BLOCK)), 0);
        linux.plug_dimm("b", std::slice::from_ref(&(34 * BLOCK..35 * BLOCK)), 0);
        linux
    }

    /// The layout of a guest, as far as groups go, whose kernel numbers them in its own way.
    fn guest(groups: [(u64, Option<u32>, u64); 3]) -> Layout {
        let block = |(index, id, max): (u64, Option<u32>, u64)| dimmer_report::Block {
            index,
            state: "online".into(),
            zones: Vec::new(),
            nodes: vec![0],
            removable: None,
            group: id.map(|id| SeenGroup {
                id,
                kind: SeenKind::Static,
                node: Some(0),
                present_kernel: max,
                present_movable: 0,
                max_pages: Some(max),
                unit_pages: None,
            }),
        };
        Layout { blocks: groups.map(block).to_vec(), ..Layout::default() }
    }

    #[test]
    fn groups_are_told_by_their_blocks() {
        let right = guest([(32, Some(7), 65536), (33, Some(7), 65536), (34, Some(2), 32768)]);
        assert_eq!(groups(&two_dimms(), &right), []);
        let torn = guest([(32, Some(7), 65536), (33, Some(8), 65536), (34, Some(2), 32768)]);
        let found: Vec<_> = groups(&two_dimms(), &torn).iter().map(ToString::to_string).collect();
        let text = "of 65536 pages on node 0, 65536 kernel and 0 movable";
        let expected = format!(
            "group of block 33: expected static group from block 32 {text}, seen static group from block 33 {text}"
        );
        assert_eq!(found, [expected]);
        let none = guest([(32, None, 0), (33, None, 0), (34, Some(2), 4)]);
        let found = groups(&two_dimms(), &none);
        assert_eq!(found[0].what, What::Groups { first: 32, last: 33 });
        assert_eq!((found[0].seen.as_str(), found.len()), (NO_GROUP, 2));
        let unknown = Layout { groups_unknown: Some("no BTF".to_owned()), ..none };
        assert_eq!(groups(&two_dimms(), &unknown), []);
    }
}
