//! Choosing blocks, and scrolling to them.

use ratatui::layout::Rect;

use super::*;
use crate::map::sample::{device, seen};

/// The sample in a window.
fn fitted(width: u16, height: u16) -> View {
    let mut view = View::default();
    view.see(seen());
    fit(&mut view, width, height);
    view
}

fn fit(view: &mut View, width: u16, height: u16) {
    let geometry = Geometry::of(Rect::new(0, 0, width, height), view).unwrap();
    view.fit(&geometry);
}

#[test]
fn the_block_beside_another_may_be_another_devices() {
    let mut view = fitted(80, 24);
    view.cursor = 47;
    view.step(1);
    assert_eq!(view.cursor, 48);
    view.step(-1);
    assert_eq!(view.cursor, 47);
    view.cursor = 0;
    view.step(-1);
    assert_eq!(view.cursor, 0, "there is none before the first");
}

#[test]
fn lines_are_climbed_by_columns_and_end_at_the_ends() {
    let mut view = fitted(80, 24);
    view.cursor = 3;
    view.climb(1);
    assert_eq!(view.cursor, 35, "in lines of 32");
    view.climb(-1);
    assert_eq!(view.cursor, 3);
    view.climb(isize::MAX / 2);
    assert_eq!(view.cursor, 56, "the only line of node 1 has nothing in that column, and this is nearest");
    view.climb(isize::MIN / 2);
    assert_eq!(view.cursor, 15, "the first line is no longer");
}

#[test]
fn the_chosen_block_stays_in_sight_however_many_there_are() {
    let mut view = View::default();
    let mut large = seen();
    large.devices.push(device("huge", "dimm", (1024, 16384), 16384 << 27));
    view.see(large);
    fit(&mut view, 120, 30);
    for (cursor, what) in
        [(0, "the first"), (9000, "one in the middle"), (1024 + 16383, "the last of them"), (5, "back")]
    {
        view.cursor = cursor;
        fit(&mut view, 120, 30);
        let (row, _) = view.place().unwrap();
        let height = Geometry::of(Rect::new(0, 0, 120, 30), &view).unwrap().map_height();
        assert!(
            (view.top..view.top + usize::from(height)).contains(&row),
            "{what}: line {row} from {}",
            view.top
        );
    }
}

#[test]
fn a_block_that_is_gone_is_no_longer_chosen() {
    let mut view = fitted(80, 24);
    view.cursor = 50;
    let mut later = seen();
    later.devices.remove(0);
    later.layout.blocks.retain(|block| !(48..56).contains(&block.index));
    view.see(later);
    fit(&mut view, 80, 24);
    let (row, column) = view.place().unwrap();
    assert_eq!(view.index(row, column), Some(47));
}

#[test]
fn nothing_can_be_chosen_of_nothing() {
    let mut view = View::default();
    fit(&mut view, 80, 24);
    view.step(1);
    view.climb(5);
    assert_eq!((view.place(), view.cursor), (None, 0));
}
