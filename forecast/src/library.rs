//! The scenarios that come with the program, and those in files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::predict::validate;
use crate::scenario::{Scenario, ScenarioError};

/// Name and text of each scenario of the library, by name.
const LIBRARY: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/scenarios.rs"));

/// A scenario, and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// What reports call it: the file's name without `.toml`.
    pub name: String,
    /// What [`find`] finds it by: the file, or the library's name for it.
    pub argument: String,
    /// What it says.
    pub scenario: Scenario,
}

/// A scenario that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// There is neither a file nor a scenario of this name.
    #[error("{0:?} is neither a file or directory nor a scenario of the library, such as {example:?}", example = LIBRARY[0].0)]
    Nothing(String),
    /// The directory cannot be read, or has no scenario in it.
    #[error("{path}: {error}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// What is there is no scenario.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The scenario cannot be carried out.
    #[error("{}", .0.join("\n"))]
    Invalid(Vec<String>),
}

impl Source {
    /// Tries the scenario on the model.
    ///
    /// # Errors
    /// [`LibraryError::Invalid`] with all that is wrong, by file, line and key; [`LibraryError::Scenario`] when the file has
    /// gone.
    pub fn validate(&self) -> Result<(), LibraryError> {
        let path = Path::new(&self.argument);
        let known = LIBRARY.iter().find(|(name, _)| *name == self.argument && !path.exists());
        let text = match known {
            Some((_, text)) => (*text).to_owned(),
            None => fs::read_to_string(path)
                .map_err(|error| ScenarioError::Read { path: path.to_owned(), error })?,
        };
        validate(&text, path).map(drop).map_err(LibraryError::Invalid)
    }
}

/// Name and text of each scenario of the library, by name.
pub fn texts() -> impl Iterator<Item = (&'static str, &'static str)> {
    LIBRARY.iter().copied()
}

/// The whole library.
///
/// # Errors
/// [`LibraryError::Scenario`]; a test sees to it that this does not happen.
pub fn library() -> Result<Vec<Source>, LibraryError> {
    LIBRARY.iter().map(|(name, text)| built_in(name, text)).collect()
}

/// The scenarios that `argument` names: a file, all files of a directory whose names end in `.toml`, or a name of the
/// library, with or without `.toml`.
///
/// # Errors
/// [`LibraryError`].
pub fn find(argument: &str) -> Result<Vec<Source>, LibraryError> {
    let path = Path::new(argument);
    if path.is_dir() {
        return files(path)?.iter().map(|file| read(file)).collect();
    }
    let name = argument.strip_suffix(".toml").unwrap_or(argument);
    match LIBRARY.iter().find(|(known, _)| *known == name) {
        Some((name, text)) if !path.exists() => Ok(vec![built_in(name, text)?]),
        _ if path.exists() => Ok(vec![read(path)?]),
        _ => Err(LibraryError::Nothing(argument.to_owned())),
    }
}

/// What all `arguments` name, each scenario once, by name; the library when there are none.
///
/// # Errors
/// [`LibraryError`].
pub fn find_all(arguments: &[String]) -> Result<Vec<Source>, LibraryError> {
    let found: Vec<Vec<Source>> = match arguments {
        [] => vec![library()?],
        arguments => arguments.iter().map(|argument| find(argument)).collect::<Result<_, _>>()?,
    };
    let mut all = found.concat();
    all.sort_by(|a, b| (&a.name, &a.argument).cmp(&(&b.name, &b.argument)));
    all.dedup_by(|a, b| a.argument == b.argument);
    Ok(all)
}

fn built_in(name: &str, text: &str) -> Result<Source, LibraryError> {
    let scenario = Scenario::parse(text, Path::new(name))?;
    Ok(Source { name: name.to_owned(), argument: name.to_owned(), scenario })
}

fn read(file: &Path) -> Result<Source, LibraryError> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Source { name, argument: file.display().to_string(), scenario: Scenario::read(file)? })
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, LibraryError> {
    let failed = |error| LibraryError::Directory { path: directory.to_owned(), error };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(failed(std::io::Error::other("there is no scenario in it (*.toml)")));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios")
    }

    #[test]
    fn the_library_is_what_the_folder_holds() {
        let named = |sources: Vec<Source>| {
            sources.into_iter().map(|source| (source.name, source.scenario)).collect::<Vec<_>>()
        };
        let built_in = named(find_all(&[]).unwrap());
        assert!(built_in.len() > 30);
        assert_eq!(built_in, named(find_all(&[directory().display().to_string()]).unwrap()));
    }

    #[test]
    fn a_name_a_file_and_a_folder_find_the_same_scenario_once() {
        let file = directory().join("05-one-kernel-block-turns-its-dimm.toml").display().to_string();
        let name = "05-one-kernel-block-turns-its-dimm";
        for argument in [name, "05-one-kernel-block-turns-its-dimm.toml", &file] {
            let found = find(argument).unwrap();
            assert_eq!((found.len(), found[0].name.as_str()), (1, name), "{argument}");
        }
        let twice = [file.clone(), file];
        assert_eq!(find_all(&twice).unwrap().len(), 1);
    }

    #[test]
    fn what_cannot_be_carried_out_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        fs::write(&file, "shows = \"nothing\"\n[[step]]\nunplug = \"d0\"\n[[step]]\nsettle = {}\n").unwrap();
        let source = find(file.to_str().unwrap()).unwrap().remove(0);
        let error = source.validate().unwrap_err().to_string();
        assert_eq!(error, format!("{}: line 2: step 1: unplug: there is no DIMM \"d0\"", file.display()));
        assert!(library().unwrap().iter().all(|source| source.validate().is_ok()));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = find("99-no-such-thing").unwrap_err().to_string();
        assert!(error.contains("99-no-such-thing") && error.contains("01-six-dimms"), "{error}");
        let empty = tempfile::tempdir().unwrap();
        let error = find(empty.path().to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains("no scenario in it"), "{error}");
    }
}
