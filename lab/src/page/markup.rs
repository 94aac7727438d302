//! Elements with their text, escaped and closed: HTML that is XML as well.

use std::fmt::Write;

/// A piece of markup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Markup(String);

impl Markup {
    /// An element, with what `fill` puts in it.
    pub fn element(&mut self, name: &str, attributes: &[(&str, &str)], fill: impl FnOnce(&mut Self)) {
        self.begin(name, attributes);
        self.0.push('>');
        fill(self);
        // Strings take all that is written to them.
        let _ = write!(self.0, "</{name}>");
    }

    /// An element with nothing but text.
    pub fn text_element(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) {
        self.element(name, attributes, |inner| inner.text(text));
    }

    /// An element that has no content.
    pub fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.begin(name, attributes);
        self.0.push_str(" />");
    }

    /// Text.
    pub fn text(&mut self, text: &str) {
        for letter in text.chars() {
            match letter {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\n' | '\t' => self.0.push(letter),
                // XML has no such letters; what a guest prints has.
                '\0'..='\x1f' => self.0.push(char::from_u32(0x2400 + u32::from(letter)).unwrap_or('?')),
                '\x7f'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => self.0.push('\u{fffd}'),
                _ => self.0.push(letter),
            }
        }
    }

    /// Text in which `backticks` enclose code.
    pub fn prose(&mut self, text: &str) {
        for (number, part) in text.split('`').enumerate() {
            match number % 2 {
                0 => self.text(part),
                _ => self.text_element("code", &[], part),
            }
        }
    }

    /// Another piece.
    pub fn append(&mut self, other: &Self) {
        self.0.push_str(&other.0);
    }

    /// What needs no escapes, such as a style sheet without `<` and `&`.
    pub(super) fn verbatim(&mut self, text: &str) {
        self.0.push_str(text);
    }

    /// It as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn begin(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.0.push('<');
        self.0.push_str(name);
        for (name, value) in attributes {
            let _ = write!(self.0, " {name}=\"");
            self.text(value);
            self.0.push('"');
        }
    }
}
