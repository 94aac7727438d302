//! A command line, held against the definition of its program.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser};
use dimmer::cli::{Cli, Command};
use dimmer_lab::program::Arguments;

use crate::shell::Words;

/// What stands for flags that are left out.
const LEFT_OUT: &str = "…";
/// What a subcommand cannot do without, and the flags that stand in place of it.
const FILLED: [(&str, &str, &str, &[&str]); 6] = [
    ("dimmer", "run", "--kernel", &["--restore"]),
    ("dimmer", "ctl", "--api-socket", &[]),
    ("dimmer-lab", "guest", "--agent-socket", &[]),
    ("dimmer-lab", "layout", "--agent-socket", &[]),
    ("dimmer-lab", "map", "--agent-socket", &[]),
    ("dimmer-lab", "map", "--api-socket", &[]),
];
/// The flag of a file that may say everything.
const CONFIG: &str = "--config";

/// Fails unless the program would take the command, and would know what machine it means.
pub fn check(words: &Words) -> Result<(), String> {
    parsed(&filled(words), !is_open(words)).map_err(|error| told(words, error))
}

/// Fails unless there is such a command. What it needs may be missing, also the value of a flag, and CAPITALS stand for any value.
pub fn check_name(words: &Words) -> Result<(), String> {
    match parsed(&filled(words), false) {
        Err(Wrong::Line(error)) if is_missing(&error) => Ok(()),
        other => other.map_err(|error| told(words, error)),
    }
}

/// What is wrong with a command.
enum Wrong {
    /// Its line.
    Line(clap::Error),
    /// The machine that it means.
    Machine(String),
}

fn told(words: &Words, wrong: Wrong) -> String {
    let wrong = match wrong {
        Wrong::Line(error) => error.to_string(),
        Wrong::Machine(error) => error,
    };
    format!("{}\n    {}", words.join(" "), wrong.trim_end().replace('\n', "\n    "))
}

fn is_missing(error: &clap::Error) -> bool {
    use ErrorKind::{DisplayHelpOnMissingArgumentOrSubcommand, MissingRequiredArgument, MissingSubcommand};
    match error.kind() {
        DisplayHelpOnMissingArgumentOrSubcommand | MissingRequiredArgument | MissingSubcommand => true,
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => match error.get(ContextKind::InvalidValue) {
            Some(ContextValue::String(value)) => value.chars().all(|it| it.is_ascii_uppercase()),
            _ => true,
        },
        _ => false,
    }
}

/// The command with what `…` or a file stands for.
fn filled(words: &Words) -> Words {
    let mut all: Words = words.iter().filter(|word| *word != LEFT_OUT).cloned().collect();
    for (program, subcommand, flag, others) in FILLED {
        let is_said = all.iter().any(|word| {
            let name = word.split('=').next().unwrap_or_default();
            name == flag || others.contains(&name)
        });
        if is_open(words) && all[0] == program && all.get(1).is_some_and(|it| it == subcommand) && !is_said {
            all.splice(2..2, [flag.to_owned(), "PATH".to_owned()]);
        }
    }
    all
}

/// Whether something else than the line says the rest.
fn is_open(words: &Words) -> bool {
    words.iter().any(|word| word == LEFT_OUT || word == CONFIG)
}

/// Reads a command. With `whole` a machine that it means is looked at, too.
fn parsed(words: &Words, whole: bool) -> Result<(), Wrong> {
    if words[0] == "dimmer-lab" {
        return shown(Arguments::try_parse_from(words)).map(drop);
    }
    let Some(Cli { command: Command::Run(run), .. }) = shown(Cli::try_parse_from(words))? else {
        return Ok(());
    };
    match run.into_start() {
        Err(error) if whole => Err(Wrong::Machine(error.to_string())),
        _ => Ok(()),
    }
}

/// What was parsed; nothing when that is a question for help.
fn shown<T>(parsed: Result<T, clap::Error>) -> Result<Option<T>, Wrong> {
    match parsed {
        Ok(parsed) => Ok(Some(parsed)),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => Ok(None),
        Err(error) => Err(Wrong::Line(error)),
    }
}

/// Fails unless the words of `dimmer`, as a file made them, are a machine.
pub fn machine(words: &[std::ffi::OsString]) -> Result<(), String> {
    let matches = Cli::command().try_get_matches_from(words).map_err(|error| error.to_string())?;
    let typed = Cli::from_arg_matches(&matches).map_err(|error| error.to_string())?;
    match typed.command {
        Command::Run(run) => run.into_start().map(drop).map_err(|error| error.to_string()),
        _ => Err("it is not about `dimmer run`".to_owned()),
    }
}

#[test]
fn what_no_program_takes_is_named() {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Words>();
    for right in [
        "dimmer ctl … dimm add --id d0 --size 1G",
        "dimmer run … --rng",
        "dimmer run --config FILE",
        "dimmer run --restore DIR …",
        "dimmer-lab guest … offline 48-55",
        "dimmer --help",
    ] {
        assert_eq!(check(&words(right)), Ok(()), "{right}");
    }
    for wrong in [
        "dimmer ctl … dimm add --id d0",
        "dimmer ctl dimm add --id d0 --size 1G",
        "dimmer run … --colour red",
        "dimmer run --kernel K --memory size=100",
        "dimmer-lab guest … offline",
    ] {
        assert!(check(&words(wrong)).is_err(), "{wrong}");
    }
    for right in ["dimmer-lab guest … offline", "dimmer run --fault", "dimmer ctl balloon SIZE"] {
        assert_eq!(check_name(&words(right)), Ok(()), "{right}");
    }
    for wrong in ["dimmer-lab gest", "dimmer run --colour", "dimmer ctl … balloon much"] {
        assert!(check_name(&words(wrong)).is_err(), "{wrong}");
    }
}
