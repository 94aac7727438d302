//! Whole windows, as text.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use super::*;
use crate::map::deed::{Deed, Question};
use crate::map::sample::{device, seen};
use crate::map::seen::Seen;
use crate::map::view::Prompt;

fn view(seen: Seen) -> View {
    let mut view = View::default();
    view.see(seen);
    view
}

fn buffer(view: &mut View, (width, height): (u16, u16), coloured: bool) -> Buffer {
    if let Some(geometry) = Geometry::of(Rect::new(0, 0, width, height), view) {
        view.fit(&geometry);
    }
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, view, Palette { coloured })).unwrap();
    terminal.backend().buffer().clone()
}

/// The window's lines, without blanks at their ends.
fn drawn(view: &mut View, size: (u16, u16)) -> Vec<String> {
    let buffer = buffer(view, size, true);
    let line = |y| (0..size.0).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..size.1).map(line).collect()
}

#[test]
fn a_wide_window_shows_the_map_beside_all_panes() {
    let lines = drawn(&mut view(seen()), (130, 36));
    let text = lines.join("\n");
    for part in [
        "Linux 6.12.0, 8 GiB, blocks of 128 MiB, auto-movable at 301 %, numa-aware, new blocks: online",
        "54 memory blocks",
        "node 0: 6 GiB",
        "boot RAM      0  -DDDDDDDDDDDDDDD ",
        "             32  NNNNNNNNNNNNNNNN ",
        "d0           32                  MMMMMMMM ",
        "d1           32                          NNNNNN!!",
        "vmem0        64  MMMMMM%g························",
        "Devices",
        "vmem0  virtio-mem  0     898 MiB of 8 GiB  plugged",
        "Memory groups",
        "2      vmem0   dynamic  0  ",
        "What would come next",
        "Events",
        " block 0: boot RAM at 0x0, online none, node 0",
        "p plug",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(lines.iter().all(|line| line.chars().count() <= 130));
}

#[test]
fn a_narrow_window_shows_a_pane_at_a_time_and_a_low_one_none() {
    let mut view = view(seen());
    let text = drawn(&mut view, (80, 30)).join("\n");
    assert!(text.contains("Devices (Tab: groups)") && !text.contains("Events"), "{text}");
    view.pane = Pane::Events;
    assert!(drawn(&mut view, (80, 30)).join("\n").contains("Events (Tab: devices)"));
    let text = drawn(&mut view, (60, 16)).join("\n");
    assert!(!text.contains("Events") && text.contains("boot RAM"), "{text}");
    assert!(drawn(&mut view, (30, 5)).join(" ").contains("too small"));
}

#[test]
fn any_size_of_window_can_be_drawn() {
    let mut large = seen();
    for number in 0..256 {
        large.devices.push(device(
            &format!("dimm-number-{number}"),
            "dimm",
            (1024 + 32 * number, 32),
            32 << 27,
        ));
    }
    let mut view = view(large);
    view.prompt = Some(Prompt { question: Question::Plug, answer: "4G ".repeat(60) });
    for width in [1, 10, 44, 45, 99, 100, 129, 130, 300] {
        for height in [1, 5, 12, 13, 22, 60] {
            let lines = drawn(&mut view, (width, height));
            assert_eq!(lines.len(), usize::from(height));
        }
    }
    view.cursor = 9215;
    let text = drawn(&mut view, (140, 30)).join("\n");
    assert!(text.contains("dimm-number…") && text.contains(" of 259"), "{text}");
}

#[test]
fn without_colours_no_cell_has_any_and_letters_still_tell() {
    let mut view = view(seen());
    let plain = buffer(&mut view, (130, 36), false);
    assert!(plain.content().iter().all(|cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset)));
    let coloured = buffer(&mut view, (130, 36), true);
    let text =
        |buffer: &Buffer| buffer.content().iter().map(|cell| cell.symbol().to_owned()).collect::<Vec<_>>();
    assert_eq!(text(&plain), text(&coloured));
}

#[test]
fn questions_and_answers_stand_below_the_map() {
    let mut view = view(seen());
    view.prompt = Some(Prompt { question: Question::Resize, answer: "vmem0 2G".to_owned() });
    view.message = Some(Message::Failed("\"x\" is not a size".to_owned()));
    let text = drawn(&mut view, (110, 30)).join("\n");
    assert!(text.contains(" \"x\" is not a size;  resize (DEVICE SIZE): vmem0 2G"), "{text}");
    view.prompt = None;
    view.message = Some(Message::Failed("refused: the guest needs it".to_owned()));
    view.under_way = vec![Deed::Eject { id: "d0".to_owned() }];
    view.trouble = Some("the guest does not answer".to_owned());
    let text = drawn(&mut view, (150, 30)).join("\n");
    assert!(text.contains(" refused: the guest needs it  under way: eject d0"), "{text}");
    assert!(text.contains("the guest does not answer"), "{text}");
}

#[test]
fn empty_states_say_so() {
    let text = drawn(&mut View::default(), (110, 30)).join("\n");
    assert!(text.contains("waiting for the guest"), "{text}");
    let mut bare = seen();
    bare.devices.clear();
    bare.layout.blocks.truncate(20);
    bare.layout.zones.push(crate::layout::Zone { name: "Normal".into(), present: 5, ..Default::default() });
    bare.layout.groups_unknown = Some("no BTF".to_owned());
    let text = drawn(&mut view(bare), (110, 30)).join("\n");
    for part in [
        "There are no memory devices; p plugs a DIMM.",
        "Memory groups are not known: no BTF",
        "Not known: how much",
    ] {
        assert!(text.contains(part), "{text}");
    }
}
