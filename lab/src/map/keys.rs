//! What a key does.

use dimmer::units::{Bytes, GIB};
use dimmer_devices::memory::{Kind, MemoryStatus};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::deed::{Deed, Question};
use super::view::{Message, Prompt, View};

/// Lines that a page key goes.
const PAGE: isize = 16;
/// The keys with what they do, as the last line of the window has them.
pub const KEYS: [(&str, &str); 9] = [
    ("p", "plug"),
    ("r", "resize"),
    ("e", "eject"),
    ("o", "online"),
    ("f", "offline"),
    ("+ -", "size ahead"),
    ("Tab", "pane"),
    ("arrows", "choose"),
    ("q", "end"),
];

/// What is to be done outside of the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// This.
    Do(Deed),
    /// The end.
    End,
}

/// Takes a key.
pub fn press(view: &mut View, key: KeyEvent) -> Effect {
    if key.kind == KeyEventKind::Release {
        return Effect::Nothing;
    }
    if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
        return Effect::End;
    }
    if let Some(prompt) = view.prompt.take() {
        return answer(view, prompt, key);
    }
    match key.code {
        KeyCode::Char('q') => return Effect::End,
        KeyCode::Char('p') => ask(view, Question::Plug),
        KeyCode::Char('r') => ask(view, Question::Resize),
        KeyCode::Char('e') => ask(view, Question::Eject),
        KeyCode::Char('o') => ask(view, Question::Online),
        KeyCode::Char('f') => ask(view, Question::Offline),
        KeyCode::Char('+' | '=') => view.resize_next(true),
        KeyCode::Char('-') => view.resize_next(false),
        KeyCode::Tab => view.pane = view.pane.next(),
        KeyCode::Left | KeyCode::Char('h') => view.step(-1),
        KeyCode::Right | KeyCode::Char('l') => view.step(1),
        KeyCode::Up | KeyCode::Char('k') => view.climb(-1),
        KeyCode::Down | KeyCode::Char('j') => view.climb(1),
        KeyCode::PageUp => view.climb(-PAGE),
        KeyCode::PageDown => view.climb(PAGE),
        KeyCode::Home => view.climb(isize::MIN / 2),
        KeyCode::End => view.climb(isize::MAX / 2),
        KeyCode::Esc => view.message = None,
        _ => {}
    }
    Effect::Nothing
}

/// Takes a key of an answer that is being typed.
fn answer(view: &mut View, mut prompt: Prompt, key: KeyEvent) -> Effect {
    let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Esc => return Effect::Nothing,
        KeyCode::Enter => match prompt.question.read(&prompt.answer, &view.free_name()) {
            Ok(deed) => {
                view.begin(deed.clone());
                return Effect::Do(deed);
            }
            Err(why) => view.message = Some(Message::Failed(why)),
        },
        KeyCode::Backspace => drop(prompt.answer.pop()),
        KeyCode::Char('u') if with_control => prompt.answer.clear(),
        KeyCode::Char(letter) if !with_control => prompt.answer.push(letter),
        _ => {}
    }
    view.prompt = Some(prompt);
    Effect::Nothing
}

/// Asks, with an answer that suits the chosen block.
fn ask(view: &mut View, question: Question) {
    let chosen = view.seen.as_ref().and_then(|seen| seen.device(view.cursor));
    let of = |kind: Kind| {
        let fits = |device: &&MemoryStatus| device.kind == kind;
        let mut all = view.seen.iter().flat_map(|seen| &seen.devices);
        chosen.filter(fits).or_else(|| all.rfind(|device| device.kind == kind))
    };
    let answer = match question {
        Question::Plug => format!("{} {}", short(view.next_size), view.free_name()),
        Question::Resize => of(Kind::VirtioMem).map_or_else(String::new, |device| {
            format!("{} {}", device.id, short(device.requested_size + GIB))
        }),
        Question::Eject => of(Kind::Dimm).map_or_else(String::new, |device| device.id.clone()),
        Question::Online | Question::Offline => view.cursor.to_string(),
    };
    view.message = None;
    view.prompt = Some(Prompt { question, answer });
}

/// A size as it is typed: `4G`.
fn short(bytes: u64) -> String {
    let text = Bytes(bytes).to_string();
    match text.split_once(' ') {
        Some((number, unit)) if unit.ends_with("iB") => format!("{number}{}", &unit[..1]),
        _ => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::sample;
    use crate::map::view::Pane;

    fn view() -> View {
        let mut view = View::default();
        view.see(sample::seen());
        view
    }

    /// Types words, each the name of a key or letters.
    fn typed(view: &mut View, keys: &[&str]) -> Effect {
        let mut last = Effect::Nothing;
        for key in keys {
            let codes: Vec<KeyCode> = match *key {
                "Enter" => vec![KeyCode::Enter],
                "Esc" => vec![KeyCode::Esc],
                "Tab" => vec![KeyCode::Tab],
                "Backspace" => vec![KeyCode::Backspace],
                letters => letters.chars().map(KeyCode::Char).collect(),
            };
            for code in codes {
                last = press(view, KeyEvent::from(code));
            }
        }
        last
    }

    #[test]
    fn a_question_has_an_answer_that_suits_the_chosen_block() {
        for (key, cursor, answer) in [
            ("p", 0, "4G d2"),
            ("r", 0, "vmem0 1922M"),
            ("e", 0, "d1"),
            ("e", 50, "d0"),
            ("o", 50, "50"),
            ("f", 72, "72"),
        ] {
            let mut view = view();
            view.cursor = cursor;
            typed(&mut view, &[key]);
            assert_eq!(view.prompt.unwrap().answer, answer, "{key} at {cursor}");
        }
    }

    #[test]
    fn an_answer_is_typed_corrected_and_done() {
        let mut view = view();
        let deed = Deed::Plug { id: "d2".to_owned(), size: 1 << 30, node: 0 };
        typed(&mut view, &["p", "Backspace", "Backspace", "Backspace", "Backspace", "Backspace"]);
        assert_eq!(typed(&mut view, &["much", "Enter"]), Effect::Nothing);
        assert!(matches!(&view.message, Some(Message::Failed(why)) if why.contains("not a size")));
        typed(&mut view, &["Backspace", "Backspace", "Backspace", "Backspace"]);
        assert_eq!(typed(&mut view, &["1G", "Enter"]), Effect::Do(deed.clone()));
        assert_eq!(
            (view.under_way.as_slice(), &view.prompt, &view.message),
            (&[deed.clone()][..], &None, &None)
        );
        view.end(&deed, Message::Done("there".to_owned()));
        assert!(view.under_way.is_empty() && view.message.is_some());
        typed(&mut view, &["p"]);
        assert_eq!(view.prompt.as_ref().unwrap().answer, "4G d3", "d2 has not been seen, but is there");
        let clear = KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL);
        press(&mut view, clear);
        assert_eq!(view.prompt.unwrap().answer, "");
    }

    #[test]
    fn q_ends_unless_it_is_part_of_an_answer() {
        let mut view = view();
        assert_eq!(typed(&mut view, &["p", "q"]), Effect::Nothing);
        assert_eq!(typed(&mut view, &["Esc", "q"]), Effect::End);
        let mut key = KeyEvent::from(KeyCode::Char('c'));
        key.modifiers = KeyModifiers::CONTROL;
        typed(&mut view, &["p"]);
        assert_eq!(press(&mut view, key), Effect::End);
    }

    #[test]
    fn panes_and_sizes_go_round() {
        let mut view = view();
        typed(&mut view, &["Tab", "Tab", "Tab"]);
        assert_eq!(view.pane, Pane::Events);
        typed(&mut view, &["Tab", "+", "-", "-"]);
        assert_eq!((view.pane, view.next_size), (Pane::Devices, 2 << 30));
    }
}
