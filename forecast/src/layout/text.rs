//! A layout as aligned text, one line per run of blocks:
//!
//! ```text
//! 0       online  none     node 0
//! 48-143  online  Movable  node 0  static d0,d1,d2
//! ```

use super::{Layout, Run, runs};
use crate::devices::Devices;

/// The text of `layout`, each line ended. The last column names the `devices` of a run, or by their
/// numbers the groups of those that are not known; the kind of group stands before them where the
/// kernel shows it.
pub fn text(layout: &Layout, devices: &Devices) -> String {
    let rows: Vec<_> = runs(layout).iter().map(|run| columns(run, layout.block_size, devices)).collect();
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
fn columns(run: &Run, block_size: u64, devices: &Devices) -> [String; 5] {
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let nodes = run.nodes.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let node = if run.nodes.len() > 1 { "nodes" } else { "node" };
    let mut owners = devices.of_run(run.first, run.last, block_size);
    if owners.is_empty() {
        owners = run.groups.iter().map(u32::to_string).collect();
    }
    let kind = run.kind.map(|kind| format!("{kind} ")).unwrap_or_default();
    [
        run.range(),
        run.state.to_string(),
        or_dash(run.zones.join(",")),
        format!("{node} {}", or_dash(nodes)),
        format!("{kind}{}", owners.join(",")),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::sample::{blocks, in_group, layout};
    use super::super::{BlockState, Layout};
    use super::*;

    #[test]
    fn runs_are_aligned_and_devices_named_where_known() {
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
        let lines = |devices: &str| {
            let (first, last) = devices.split_once(';').unwrap();
            format!(
                "\
0       online         none            node 0
1-15    online         DMA32           node 0
48-143  online         Movable         node 0  static {first}
144     going-offline  Normal,Movable  node 0{last}
145     offline        -               node 0
"
            )
        };
        assert_eq!(text(&layout, &Devices::default()), lines("0,1,7;"));
        let range = |first: u64, count: u64| json!([{"start": first << 27, "size": count << 27}]);
        let devices = Devices::read(&json!([
            {"id": "d1", "ranges": range(80, 64)},
            {"id": "d0", "ranges": range(48, 32)},
            {"id": "vmem0", "ranges": range(144, 1)},
        ]));
        assert_eq!(text(&layout, &devices), lines("d0,d1;  vmem0"));
    }

    #[test]
    fn several_nodes_and_none_are_shown() {
        let mut layout = layout([blocks(0, 1, BlockState::Online, &["Normal"])]);
        layout.blocks[0].nodes = vec![0, 1];
        layout.blocks[1].nodes = vec![];
        let expected = "0  online  Normal  nodes 0,1\n1  online  Normal  node -\n";
        assert_eq!(text(&layout, &Devices::default()), expected);
    }

    #[test]
    fn an_empty_layout_is_an_empty_text() {
        assert_eq!(text(&Layout::default(), &Devices::default()), "");
    }
}
