//! Layouts of trees built here in the shape that Linux gives them.

use std::os::unix::fs::symlink;

use super::*;
use crate::report::Zone;

/// A root with the files that every kernel has, and no blocks.
fn guest() -> (tempfile::TempDir, Tree) {
    let root = tempfile::tempdir().unwrap();
    let tree = Tree::new(root.path());
    put(&tree, "proc/sys/kernel/osrelease", "6.12.117-cloud-amd64\n");
    put(&tree, "proc/zoneinfo", "Node 0, zone   Normal\n        present  32768\n");
    put(&tree, "proc/meminfo", "MemTotal:        4026940 kB\nMemFree:  1 kB\nHardwareCorrupted:     4 kB\n");
    put(&tree, "sys/devices/system/memory/block_size_bytes", "8000000\n");
    (root, tree)
}

fn put(tree: &Tree, path: &str, text: &str) {
    let path = tree.path(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn put_block(tree: &Tree, index: u64, state: &str, zones: &str, nodes: &[u32]) {
    let block = format!("{MEMORY}/memory{index}");
    put(tree, &format!("{block}/state"), &format!("{state}\n"));
    put(tree, &format!("{block}/valid_zones"), &format!("{zones}\n"));
    put(tree, &format!("{block}/removable"), "1\n");
    put(tree, &format!("{block}/power/control"), "auto\n");
    for node in nodes {
        symlink("../../node", tree.path(format!("{block}/node{node}"))).unwrap();
    }
}

fn put_policy(tree: &Tree) {
    put(tree, &format!("{MEMORY}/auto_online_blocks"), "online\n");
    put(tree, &format!("{PARAMETERS}/online_policy"), "auto-movable\n");
    put(tree, &format!("{PARAMETERS}/auto_movable_ratio"), "301\n");
    put(tree, &format!("{PARAMETERS}/auto_movable_numa_aware"), "Y\n");
}

#[test]
fn blocks_come_in_the_order_of_their_numbers() {
    let (_root, tree) = guest();
    for index in [9, 10, 100, 0] {
        put_block(&tree, index, "online", "Normal", &[0]);
    }
    let indices: Vec<_> = tree.layout().unwrap().blocks.iter().map(|block| block.index).collect();
    assert_eq!(indices, [0, 9, 10, 100]);
}

#[test]
fn a_block_is_reported_word_by_word() {
    let (_root, tree) = guest();
    put_block(&tree, 47, "online", "none", &[1, 0]);
    put_block(&tree, 48, "offline", "Normal Movable", &[0]);
    let blocks = tree.layout().unwrap().blocks;
    let expected = |index, state, zones: &[&str], nodes: &[u32]| Block {
        index,
        state,
        zones: zones.iter().map(|zone| (*zone).to_owned()).collect(),
        nodes: nodes.to_vec(),
        removable: Some(true),
        group: None,
    };
    assert_eq!(blocks[0], expected(47, BlockState::Online, &["none"], &[0, 1]));
    assert_eq!(blocks[1], expected(48, BlockState::Offline, &["Normal", "Movable"], &[0]));
}

#[test]
fn the_policy_and_the_totals_are_reported() {
    let (_root, tree) = guest();
    put_policy(&tree);
    let layout = tree.layout().unwrap();
    assert_eq!(layout.kernel, "6.12.117-cloud-amd64");
    assert_eq!(layout.block_size, 128 << 20);
    assert_eq!(layout.auto_online_blocks.as_deref(), Some("online"));
    assert_eq!(layout.online_policy.as_deref(), Some("auto-movable"));
    assert_eq!(layout.auto_movable_ratio, Some(301));
    assert_eq!(layout.auto_movable_numa_aware, Some(true));
    assert_eq!(layout.mem_total_kb, Some(4026940));
    assert_eq!(layout.hardware_corrupted_kb, Some(4));
    let normal = Zone { name: "Normal".into(), present: 32768, ..Zone::default() };
    assert_eq!(layout.zones, [normal]);
}

#[test]
fn what_an_old_kernel_lacks_is_none() {
    let (_root, tree) = guest();
    put(&tree, "proc/meminfo", "MemTotal:        1000 kB\n");
    put(&tree, &format!("{MEMORY}/memory7/state"), "online\n");
    let layout = tree.layout().unwrap();
    assert_eq!(layout.online_policy, None);
    assert_eq!(layout.auto_movable_ratio, None);
    assert_eq!(layout.auto_movable_numa_aware, None);
    assert_eq!(layout.hardware_corrupted_kb, None);
    assert_eq!((layout.blocks[0].zones.len(), layout.blocks[0].removable), (0, None));
}

#[test]
fn a_block_without_a_state_is_one_that_just_vanished() {
    let (_root, tree) = guest();
    put_block(&tree, 48, "online", "Movable", &[0]);
    fs::create_dir_all(tree.path(format!("{MEMORY}/memory49"))).unwrap();
    assert_eq!(tree.layout().unwrap().blocks.len(), 1);
}

#[test]
fn busy_blocks_and_kernel_workers_are_pending() {
    let (_root, tree) = guest();
    put_block(&tree, 60, "going-offline", "Movable Normal", &[0]);
    put(&tree, "proc/57/stat", "57 (kworker/u2:1+kacpi_hotplug) D 2 0 0 0 -1\n");
    put(&tree, "proc/58/stat", "58 (kworker/0:2-events) I 2 0 0 0 -1\n");
    let expected = ["block 60 is going offline", "kernel worker kworker/u2:1 runs kacpi_hotplug"];
    assert_eq!(tree.layout().unwrap().pending, expected);
}

#[test]
fn a_missing_or_odd_file_is_named() {
    let (_root, tree) = guest();
    put(&tree, "sys/devices/system/memory/block_size_bytes", "many\n");
    let error = tree.layout().unwrap_err().to_string();
    assert_eq!(error, "sys/devices/system/memory/block_size_bytes holds \"many\", which is no number");
    fs::remove_file(tree.path("proc/zoneinfo")).unwrap();
    put(&tree, "sys/devices/system/memory/block_size_bytes", "8000000\n");
    assert_eq!(tree.layout().unwrap_err().to_string(), "Cannot read proc/zoneinfo");
}
