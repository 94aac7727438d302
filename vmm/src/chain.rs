//! How an error is shown: with its causes, in one line.

use std::error::Error;

/// The error and its causes, joined by `: `. A text that already holds its cause is not repeated.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        #[source]
        cause: Option<Box<Link>>,
    }

    #[test]
    fn each_cause_is_said_once() {
        let last = Link { text: "no such file", cause: None };
        let middle = Link { text: "cannot open x: no such file", cause: Some(Box::new(last)) };
        let first = Link { text: "--kernel", cause: Some(Box::new(middle)) };
        assert_eq!(chain(&first), "--kernel: cannot open x: no such file");
    }
}
