//! A layout as aligned text, one line per run of blocks:
//!
//! ```text
//! 0       online  none     node 0
//! 48-143  online  Movable  node 0  static d0,d1,d2
//! ```

use std::collections::BTreeMap;

use super::{Layout, Run, runs};

/// What memory groups are called, by their number: the ids of their devices.
pub type GroupNames = BTreeMap<u32, String>;

/// The text of `layout`, each line ended. A group that has no name in `names` is shown by its
/// number, and a group that the kernel does not show is left out.
pub fn text(layout: &Layout, names: &GroupNames) -> String {
    let rows: Vec<_> = runs(layout).iter().map(|run| columns(run, names)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// The columns of one run; `-` stands for a list with nothing in it.
fn columns(run: &Run, names: &GroupNames) -> [String; 5] {
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let nodes = run.nodes.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let node = if run.nodes.len() > 1 { "nodes" } else { "node" };
    let name = |id| names.get(id).cloned().unwrap_or_else(|| id.to_string());
    let groups = run.groups.iter().map(name).collect::<Vec<_>>().join(",");
    [
        run.range(),
        run.state.to_string(),
        or_dash(run.zones.join(",")),
        format!("{node} {}", or_dash(nodes)),
        run.kind.map(|kind| format!("{kind} {groups}")).unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::sample::{blocks, in_group, layout};
    use super::super::{BlockState, Layout};
    use super::*;

    #[test]
    fn runs_are_aligned_and_groups_named_where_known() {
        use BlockState::{GoingOffline, Offline, Online};
        let movable = |first, last, id| in_group(blocks(first, last, Online, &["Movable"]), id);
        let layout = layout([
            blocks(0, 0, Online, &["none"]),
            blocks(1, 15, Online, &["DMA32"]),
            movable(48, 79, 0),
            movable(80, 111, 1),
            movable(112, 143, 7),
            blocks(144, 144, GoingOffline, &["Normal", "Movable"]),
            blocks(145, 145, Offline, &[]),
        ]);
        let names = GroupNames::from([(0, "d0".to_owned()), (1, "d1".to_owned())]);
        let expected = "\
0       online         none            node 0
1-15    online         DMA32           node 0
48-143  online         Movable         node 0  static d0,d1,7
144     going-offline  Normal,Movable  node 0
145     offline        -               node 0
";
        assert_eq!(text(&layout, &names), expected);
    }

    #[test]
    fn several_nodes_and_none_are_shown() {
        let mut layout = layout([blocks(0, 1, BlockState::Online, &["Normal"])]);
        layout.blocks[0].nodes = vec![0, 1];
        layout.blocks[1].nodes = vec![];
        let expected = "0  online  Normal  nodes 0,1\n1  online  Normal  node -\n";
        assert_eq!(text(&layout, &GroupNames::new()), expected);
    }

    #[test]
    fn an_empty_layout_is_an_empty_text() {
        assert_eq!(text(&Layout::default(), &GroupNames::new()), "");
    }
}
