//! Layouts in the shape of the kernel series that introduced memory groups.

use super::{Block, BlockState, Group, GroupKind, Layout, Zone};

/// Blocks `first` to `last` in one zone of node 0.
pub fn blocks(first: u64, last: u64, state: BlockState, zones: &[&str]) -> Vec<Block> {
    let block = |index| Block {
        index,
        state: state.clone(),
        zones: zones.iter().map(|zone| (*zone).to_owned()).collect(),
        nodes: vec![0],
        removable: Some(true),
        group: None,
    };
    (first..=last).map(block).collect()
}

/// `blocks` as members of the static group `id`.
pub fn in_group(mut blocks: Vec<Block>, id: u32) -> Vec<Block> {
    for block in &mut blocks {
        block.group = Some(Group {
            id,
            kind: GroupKind::Static,
            node: Some(0),
            present_kernel: 0,
            present_movable: 1 << 20,
            max_pages: None,
            unit_pages: None,
        });
    }
    blocks
}

/// A layout of `blocks`.
pub fn layout(blocks: impl IntoIterator<Item = Vec<Block>>) -> Layout {
    Layout {
        kernel: "6.12.0".into(),
        block_size: 128 << 20,
        online_policy: Some("auto-movable".into()),
        auto_movable_ratio: Some(301),
        blocks: blocks.into_iter().flatten().collect(),
        zones: vec![Zone { name: "Movable".into(), present: 5, ..Zone::default() }],
        ..Layout::default()
    }
}
