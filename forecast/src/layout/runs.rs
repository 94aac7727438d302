//! Runs of blocks that look the same: what people read instead of thousands of lines.

use super::{Block, BlockState, GroupKind, Layout};

/// Consecutive blocks with the same state, zones, nodes and kind of group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// First block.
    pub first: u64,
    /// Last block.
    pub last: u64,
    /// What they are doing.
    pub state: BlockState,
    /// Their `valid_zones`.
    pub zones: Vec<String>,
    /// Their nodes.
    pub nodes: Vec<u32>,
    /// The kind of their groups; `None` where it is unknown.
    pub kind: Option<GroupKind>,
    /// Their groups, in the order in which they first occur.
    pub groups: Vec<u32>,
}

impl Run {
    /// The run that holds `block` alone.
    fn of(block: &Block) -> Self {
        Self {
            first: block.index,
            last: block.index,
            state: block.state.clone(),
            zones: block.zones.clone(),
            nodes: block.nodes.clone(),
            kind: block.group.as_ref().map(|group| group.kind),
            groups: block.group.iter().map(|group| group.id).collect(),
        }
    }

    /// Takes `block` in if it continues the run.
    fn join(&mut self, block: &Block) -> bool {
        let same = self.last + 1 == block.index
            && self.state == block.state
            && self.zones == block.zones
            && self.nodes == block.nodes
            && self.kind == block.group.as_ref().map(|group| group.kind);
        if same {
            self.last = block.index;
            let group = block.group.iter().map(|group| group.id);
            self.groups.extend(group.filter(|id| !self.groups.contains(id)).collect::<Vec<_>>());
        }
        same
    }

    /// `48-143`, or `48` for a single block.
    pub fn range(&self) -> String {
        match self.first == self.last {
            true => self.first.to_string(),
            false => format!("{}-{}", self.first, self.last),
        }
    }
}

/// The layout's blocks as runs, ascending.
pub fn runs(layout: &Layout) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for block in &layout.blocks {
        if !runs.last_mut().is_some_and(|run| run.join(block)) {
            runs.push(Run::of(block));
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::super::sample::{blocks, in_group, layout};
    use super::*;

    fn ranges(layout: &Layout) -> Vec<String> {
        runs(layout).iter().map(Run::range).collect()
    }

    #[test]
    fn equal_neighbours_join_and_others_do_not() {
        use BlockState::{Offline, Online};
        let layout = layout([
            blocks(0, 0, Online, &["none"]),
            blocks(1, 15, Online, &["DMA32"]),
            blocks(32, 47, Online, &["DMA32"]),
            blocks(48, 50, Offline, &["Normal", "Movable"]),
            blocks(51, 51, Offline, &["Movable", "Normal"]),
        ]);
        assert_eq!(ranges(&layout), ["0", "1-15", "32-47", "48-50", "51"]);
    }

    #[test]
    fn several_groups_of_one_kind_join() {
        let online = |first, last| blocks(first, last, BlockState::Online, &["Movable"]);
        let layout = layout([in_group(online(48, 79), 4), in_group(online(80, 111), 2), online(112, 112)]);
        let runs = runs(&layout);
        assert_eq!(ranges(&layout), ["48-111", "112"]);
        assert_eq!(runs[0].groups, [4, 2]);
        assert_eq!((runs[0].kind, runs[1].kind), (Some(GroupKind::Static), None));
    }

    #[test]
    fn no_blocks_make_no_runs() {
        assert_eq!(runs(&layout([])), []);
    }
}
