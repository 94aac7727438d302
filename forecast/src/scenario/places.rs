//! Where the parts of a scenario's text are, for messages that name a line.

use serde::Deserialize;

use super::Scenario;
use super::step::expanded;

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

impl Places {
    /// Those of `text`; a step that happens again is where it stands.
    pub(crate) fn read(text: &str) -> Self {
        let mut places: Self = toml::from_str(text).unwrap_or_default();
        let scenario: Option<Scenario> = toml::from_str(text).ok();
        if let Some(Ok(steps)) = scenario.as_ref().map(|scenario| expanded(&scenario.steps)) {
            places.step =
                steps.into_iter().filter_map(|(place, _)| places.step.get(place).cloned()).collect();
        }
        places
    }
}

/// The line of the step at `place` in the text, both but the line counted from 0; nothing when the text has no such step.
pub(crate) fn line_of_step(text: &str, place: usize) -> Option<usize> {
    let places: Places = toml::from_str(text).ok()?;
    places.step.get(place).map(|step| line(text, step))
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
