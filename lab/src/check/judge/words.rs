//! What comes of a step, in the words in which scenarios have it.

use dimmer_agent::protocol::Status;
use dimmer_oracle::memory::Errno;

use crate::scenario::{DaxState, OutcomeWord, Size};

/// Where there is nothing to say.
const NOTHING: &str = "nothing";

/// `done`, `refused`, …
pub(super) fn outcome(outcome: Option<OutcomeWord>) -> String {
    outcome.map_or_else(|| NOTHING.to_owned(), |outcome| outcome.to_string())
}

/// `1,0 3,0x84`
pub(super) fn reports(reports: &[(u32, u32)]) -> String {
    let number = |number: u32| if number < 10 { number.to_string() } else { format!("{number:#x}") };
    list(reports.iter().map(|(source, status)| format!("{},{}", number(*source), number(*status))), " ")
}

/// `15G`
pub(super) fn size(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| NOTHING.to_owned(), |bytes| Size(bytes).to_string())
}

/// `exit status 1`, `signal 9`
pub(super) fn status(status: Status) -> String {
    match status {
        Status::Code(code) => format!("exit status {code}"),
        Status::Signal(signal) => format!("signal {signal}"),
    }
}

/// As [`DaxState`] says it.
pub(super) fn dax(state: Option<&DaxState>) -> String {
    state.map_or_else(|| NOTHING.to_owned(), DaxState::to_string)
}

/// `48 EBUSY, 50 EINVAL`
pub(super) fn refusals(refusals: &[(u64, Errno)]) -> String {
    list(refusals.iter().map(|(block, errno)| format!("{block} {errno}")), ", ")
}

fn list(words: impl Iterator<Item = String>, between: &str) -> String {
    let words: Vec<_> = words.collect();
    if words.is_empty() { NOTHING.to_owned() } else { words.join(between) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Expected;

    #[test]
    fn what_was_seen_is_said_as_it_is_expected() {
        assert_eq!((size(Some(15 << 30)), size(None)), ("15G".to_owned(), "nothing".to_owned()));
        assert_eq!(
            (outcome(Some(OutcomeWord::InProgress)), outcome(None)),
            ("in-progress".into(), NOTHING.into())
        );
        let (reported, refused) = (vec![(3, 0x84), (1, 0)], vec![(48, Errno::EBUSY), (50, Errno::EINVAL)]);
        let expected = Expected {
            ost: Some(reports(&reported)),
            refused: Some(refusals(&refused)),
            ..Expected::default()
        };
        assert_eq!(expected.reports(), Ok(Some(reported)));
        assert_eq!(expected.refusals(), Ok(Some(refused)));
        assert_eq!(reports(&[]), NOTHING);
    }
}
