//! Where the parts of a scenario's text are, for messages that name a line.

use serde::Deserialize;

type Part = toml::Spanned<toml::Value>;

/// The parts of a text.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Places {
    pub(crate) machine: Option<Part>,
    pub(crate) guest: Option<Part>,
    pub(crate) kernels: Option<Part>,
    pub(crate) step: Vec<Part>,
}

/// The line of step `number`, both counted from 1; nothing when the text has no such step.
pub(crate) fn line_of_step(text: &str, number: usize) -> Option<usize> {
    let places: Places = toml::from_str(text).ok()?;
    places.step.get(number.checked_sub(1)?).map(|step| line(text, step))
}

/// The line in which the guest's settings begin; nothing when the text has none.
pub(crate) fn line_of_guest(text: &str) -> Option<usize> {
    let places: Places = toml::from_str(text).ok()?;
    places.guest.map(|guest| line(text, &guest))
}

/// The line in which `part` of `text` begins, counted from 1.
pub(crate) fn line(text: &str, part: &Part) -> usize {
    1 + text.bytes().take(part.span().start).filter(|byte| *byte == b'\n').count()
}
