//! What a guest says, as it may be shown to a person: a guest could otherwise move the cursor, rename the window, or type.

/// Longest text that is shown, in characters.
const MOST: usize = 400;

/// `text` with control characters escaped as Rust has them (`\u{1b}`), but for tabs; cut where it is too long.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(MOST) {
        if character.is_control() && character != '\t' {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    if text.chars().nth(MOST).is_some() {
        shown.push_str(" ...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_long_texts_cut() {
        assert_eq!(printable("plain, \u{e4}\tb"), "plain, \u{e4}\tb");
        assert_eq!(printable("\u{1b}]0;x\u{7}\r\n\u{9b}2J"), "\\u{1b}]0;x\\u{7}\\r\\n\\u{9b}2J");
        assert_eq!(printable(&"y".repeat(500)), "y".repeat(400) + " ...");
    }
}
