//! What README.md and the pages of `docs/` say can be done: command lines are parsed by the programs' own definitions, samples of
//! TOML are read by whoever reads such files, samples of output are compared, and links lead somewhere.
//!
//! How pages write what differs from reader to reader:
//!
//! - CAPITALS stand for a value: `--kernel VMLINUX`. They are parsed as they are, so that a value with a form of its own, such as a
//!   size, is an example (`--size 4G`).
//! - `…` stands for flags that are left out. A command with it gets those that it cannot do without (`command::FILLED`).
//! - A sample of TOML with `shows` is a scenario, and must be as the oracle says; any other one is a file for `dimmer run --config`.
//!   Those in other words than TOML are no samples of it: pages call their language.
//! - A block whose language is `text` shows what somebody sees: no commands are looked for in it.
//! - Lines behind `dimmer-lab predict` or `dimmer-lab explain` in one block are what it prints; a line `…` stands for any number
//!   of lines. A sample of TOML that begins with a comment such as `# first.toml` is a file of that name for these commands.

mod command;
mod links;
mod output;
mod page;
mod sample;
mod shell;

use page::{Page, pages};

/// Fails with all that is wrong, a line each. `least` is how many of a kind there must be at least: a search that finds
/// nothing has lost its way.
fn assert_all(least: usize, found: impl IntoIterator<Item = Result<(), String>>) {
    let found: Vec<_> = found.into_iter().collect();
    let wrong: Vec<_> = found.iter().filter_map(|one| one.as_ref().err()).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), found.len(), wrong.join("\n"));
    assert!(found.len() >= least, "only {} were found", found.len());
}

/// Everything of one kind on all pages, each with where it stands.
fn each<'a, T>(
    pages: &'a [Page],
    of: impl Fn(&'a Page) -> Vec<(usize, T)>,
    check: impl Fn(&T) -> Result<(), String>,
) -> Vec<Result<(), String>> {
    let mut all = Vec::new();
    for page in pages {
        for (line, one) in of(page) {
            all.push(check(&one).map_err(|error| format!("{}:{line}: {error}", page.name)));
        }
    }
    all
}

#[test]
fn every_command_is_one_that_the_programs_know() {
    let pages = pages();
    assert_all(100, each(&pages, Page::commands, command::check));
}

#[test]
fn what_the_text_calls_a_command_is_one() {
    let pages = pages();
    assert_all(40, each(&pages, Page::mentioned, command::check_name));
}

#[test]
fn every_scenario_is_as_the_oracle_says() {
    assert_all(4, each(&pages(), |page| page.samples(sample::is_scenario), |text| sample::scenario(text)));
}

#[test]
fn every_configuration_makes_a_machine() {
    let is_configuration = |text: &str| !sample::is_scenario(text);
    assert_all(1, each(&pages(), |page| page.samples(is_configuration), |text| sample::configuration(text)));
}

#[test]
fn every_output_is_what_the_program_prints() {
    assert_all(2, pages().iter().flat_map(output::check));
}

#[test]
fn every_link_leads_somewhere() {
    assert_all(40, links::check(&pages()));
}

#[test]
fn every_page_has_its_place_in_the_book() {
    assert_all(10, links::contents(&pages()));
}
