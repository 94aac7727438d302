//! What is to be known of a run, on standard error: how it is written, and how much of it, which can change while the machine runs.

use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;
use tracing_subscriber::reload::{self, Handle};

use crate::cli::LogFormat;

/// How much is written now; nothing is there before [`init`].
static LEVEL: OnceLock<Handle<Targets, Registry>> = OnceLock::new();

/// Why the level stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LevelError {
    /// The text is none.
    #[error(
        "must be off, error, warn, info, debug or trace, or such levels by module, as in \"warn,dimmer=debug\""
    )]
    Text,
    /// Nobody writes a log in this process.
    #[error("this process writes no log")]
    NoLog,
}

/// Begins: warnings go to standard error; `DIMMER_LOG=debug` asks for more. The journal has a time for each line itself.
pub fn init(format: LogFormat) {
    let asked = std::env::var("DIMMER_LOG").ok().and_then(|text| parse(&text).ok());
    let level = asked.unwrap_or_else(|| Targets::new().with_default(tracing::Level::WARN));
    let lines =
        tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let layer = match format {
        LogFormat::Json => lines.json().boxed(),
        LogFormat::Text if std::env::var_os("JOURNAL_STREAM").is_some() => lines.without_time().boxed(),
        LogFormat::Text => lines.boxed(),
    };
    let (filter, handle) = reload::Layer::new(level);
    // A second call in one process keeps the first log.
    if tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().is_ok() {
        let _ = LEVEL.set(handle);
    }
}

/// How much is written, as [`set_level`] takes it.
///
/// # Errors
/// [`LevelError::NoLog`].
pub fn level() -> Result<String, LevelError> {
    let handle = LEVEL.get().ok_or(LevelError::NoLog)?;
    handle.with_current(ToString::to_string).map_err(|_| LevelError::NoLog)
}

/// Has so much written from now on: a level, or several by module.
///
/// # Errors
/// [`LevelError`]; the level stays as it was.
pub fn set_level(text: &str) -> Result<(), LevelError> {
    let level = parse(text)?;
    LEVEL.get().ok_or(LevelError::NoLog)?.reload(level).map_err(|_| LevelError::NoLog)
}

fn parse(text: &str) -> Result<Targets, LevelError> {
    // An unknown word would count as a module of which everything is wanted.
    let is_level = |word: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&word);
    let is_right = |part: &str| part.split_once('=').map_or(is_level(part), |(_, level)| is_level(level));
    if !text.split(',').all(is_right) {
        return Err(LevelError::Text);
    }
    text.parse().map_err(|_| LevelError::Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_word_or_several_by_module() {
        for text in ["off", "debug", "warn,dimmer=debug", "dimmer_devices::virtio=trace"] {
            assert!(parse(text).is_ok(), "{text}");
        }
        for text in ["", "loud", "dimmer", "dimmer=loud", "DEBUG", "warn,", "warn debug"] {
            assert_eq!(parse(text).err(), Some(LevelError::Text), "{text}");
        }
    }
}
