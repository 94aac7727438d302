//! `dimmer run --config FILE`: what flags say, said in a file of TOML, by the same names and keys.
//!
//! ```toml
//! kernel = "vmlinux"
//! cpus = 2
//! nested = true
//! memory = "size=4G,low=2G"
//!
//! [[memory-hotplug]]
//! method = "acpi"
//! slots = 16
//! size = "64G"
//! ```
//!
//! What has several keys is a table, or the text that stands behind the flag; what may be repeated is a list of them. A flag on the
//! command line stands in place of all that the file has under its name. `--print-config` writes such a file.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Command};
use toml::{Table, Value};

/// The flags that are about the file itself.
const CONFIG: &str = "config";
const PRINT: &str = "print-config";
/// The flag whose value may look like a flag.
const CMDLINE: &str = "cmdline";

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("--config {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        error: io::Error,
    },
    /// It is no TOML.
    #[error("--config {}: {error}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        #[source]
        error: Box<toml::de::Error>,
    },
    /// It says what no flag says, or says it in a way that none can.
    #[error("--config {}: {key}: {rule}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What would be valid.
        rule: String,
    },
}

/// The words of `dimmer`'s command line, `run` being its subcommand, with what the file of `--config` says behind `run`.
///
/// # Errors
/// [`ConfigError`].
pub fn expanded(words: Vec<OsString>, run: &Command) -> Result<Vec<OsString>, ConfigError> {
    let Some(place) = words.iter().position(|word| word == run.get_name()).map(|at| at + 1) else {
        return Ok(words);
    };
    let Typed { config: Some(path), names } = Typed::read(&words[place..]) else { return Ok(words) };
    let text = fs::read_to_string(&path).map_err(|error| ConfigError::Read { path: path.clone(), error })?;
    let table: Table = toml::from_str(&text)
        .map_err(|error| ConfigError::Toml { path: path.clone(), error: Box::new(error) })?;
    let mut all = words[..place].to_vec();
    for (key, value) in &table {
        let name = key.replace('_', "-");
        let wrong = |rule: String| ConfigError::Key { path: path.clone(), key: key.clone(), rule };
        known(&name, run).map_err(wrong)?;
        if !names.contains(&name) {
            all.extend(flags(&name, value).map_err(wrong)?);
        }
    }
    all.extend_from_slice(&words[place..]);
    Ok(all)
}

/// What was typed behind `run`, as far as that matters here.
#[derive(Debug, Default)]
struct Typed {
    config: Option<PathBuf>,
    /// The names of the flags.
    names: BTreeSet<String>,
}

impl Typed {
    fn read(words: &[OsString]) -> Self {
        let mut typed = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let Some(flag) = word.as_bytes().strip_prefix(b"--") else { continue };
            let end = flag.iter().position(|byte| *byte == b'=');
            let name = String::from_utf8_lossy(&flag[..end.unwrap_or(flag.len())]).into_owned();
            let inside = end.map(|end| OsStr::from_bytes(&flag[end + 1..]).to_owned());
            let has_value = name == CONFIG || name == CMDLINE;
            let value = if has_value { inside.or_else(|| words.next().cloned()) } else { None };
            if name == CONFIG {
                typed.config = value.map(PathBuf::from);
            }
            typed.names.insert(name);
        }
        typed
    }
}

/// Says what would be valid unless there is a flag of this name that a file may have.
fn known(name: &str, run: &Command) -> Result<(), String> {
    let valid = |long: &&str| ![CONFIG, PRINT, "help"].contains(long);
    let mut all: Vec<_> = run
        .get_arguments()
        .filter(|flag| !flag.is_hide_set())
        .filter_map(clap::Arg::get_long)
        .filter(valid)
        .collect();
    all.sort_unstable();
    if all.contains(&name) {
        Ok(())
    } else {
        Err(format!("no flag has this name (valid: {})", all.join(", ")))
    }
}

/// The words that say the same.
fn flags(name: &str, value: &Value) -> Result<Vec<OsString>, String> {
    let one = |text: String| vec![OsString::from(format!("--{name}={text}"))];
    match value {
        Value::Boolean(true) => Ok(vec![format!("--{name}").into()]),
        Value::Boolean(false) => Ok(Vec::new()),
        Value::Array(all) => {
            Ok(all.iter().map(|value| flags(name, value)).collect::<Result<Vec<_>, _>>()?.concat())
        }
        Value::Table(keys) => {
            let pairs = keys.iter().map(|(key, value)| pairs(key, value)).collect::<Result<Vec<_>, _>>()?;
            Ok(one(pairs.concat().join(",")))
        }
        other => Ok(one(plain(other)?)),
    }
}

/// `key=value`, as often as there are values.
fn pairs(key: &str, value: &Value) -> Result<Vec<String>, String> {
    if let Value::Array(all) = value {
        return Ok(all.iter().map(|value| pairs(key, value)).collect::<Result<Vec<_>, _>>()?.concat());
    }
    let text = plain(value).map_err(|rule| format!("{key}: {rule}"))?;
    if text.contains(',') {
        return Err(format!("{key}: {text:?} has a comma, which stands between keys"));
    }
    Ok(vec![format!("{key}={text}")])
}

fn plain(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Boolean(on) => Ok(if *on { "on" } else { "off" }.to_owned()),
        other => Err(format!("must be a text, a number, true or false, and is a {}", other.type_str())),
    }
}

/// What was typed behind `run`, or said by a file, as such a file. (What is no text is written with U+FFFD for what is none.)
pub fn printed(run: &Command, matches: &ArgMatches) -> String {
    let mut table = Table::new();
    for flag in run.get_arguments() {
        let id = flag.get_id().as_str();
        let Some(name) = flag.get_long().filter(|name| ![CONFIG, PRINT].contains(name)) else { continue };
        if matches.value_source(id) != Some(ValueSource::CommandLine) {
            continue;
        }
        let has_keys =
            flag.get_value_names().is_some_and(|names| names.iter().any(|name| name.contains('=')));
        let read = |text: &OsStr| {
            let text = text.to_string_lossy();
            if has_keys { keys(&text) } else { word(&text) }
        };
        let value = if matches!(flag.get_action(), ArgAction::SetTrue) {
            Value::Boolean(true)
        } else {
            let mut all: Vec<_> = matches.get_raw(id).into_iter().flatten().map(read).collect();
            if matches!(flag.get_action(), ArgAction::Append) { Value::Array(all) } else { all.remove(0) }
        };
        table.insert(name.to_owned(), value);
    }
    toml::to_string_pretty(&table).expect("texts, lists and tables can be written as TOML")
}

/// A number or a text, whichever is read as it was typed.
fn word(text: &str) -> Value {
    match text.parse::<i64>() {
        Ok(number) if number.to_string() == text => Value::Integer(number),
        _ => Value::String(text.to_owned()),
    }
}

/// The keys of `key=value,key=value`; the text itself where a key stands twice.
fn keys(text: &str) -> Value {
    let mut table = Table::new();
    for pair in text.split(',') {
        let whole = pair.split_once('=').filter(|(key, _)| !table.contains_key(*key));
        let Some((key, value)) = whole else { return Value::String(text.to_owned()) };
        let value = match value {
            "on" => Value::Boolean(true),
            "off" => Value::Boolean(false),
            other => word(other),
        };
        table.insert(key.to_owned(), value);
    }
    Value::Table(table)
}

#[cfg(test)]
mod tests;
