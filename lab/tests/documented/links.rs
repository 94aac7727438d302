//! Links between pages, and the book's table of contents.

use std::path::{Component, Path, PathBuf};

use crate::page::{Page, top};

/// The folder of the book.
const BOOK: &str = "docs";
/// Its table of contents.
const CONTENTS: &str = "docs/SUMMARY.md";

/// Every link that is not to the outside. A page of the book leads to files of the book alone, which is all that its readers
/// have.
pub fn check(pages: &[Page]) -> Vec<Result<(), String>> {
    let mut all = Vec::new();
    for page in pages {
        for (line, link) in page.links.iter().filter(|(_, link)| !link.contains("://")) {
            let led = follow(pages, page, link);
            all.push(led.map_err(|error| format!("{}:{line}: {link}: {error}", page.name)));
        }
    }
    all
}

fn follow(pages: &[Page], page: &Page, link: &str) -> Result<(), String> {
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let from = Path::new(&page.name);
    let to = if path.is_empty() { from.to_owned() } else { plain(&from.with_file_name(path)) };
    if from.starts_with(BOOK) && !to.starts_with(BOOK) {
        return Err("it leads out of the book".to_owned());
    }
    if !top().join(&to).exists() {
        return Err("there is no such file".to_owned());
    }
    let Some(anchor) = anchor else { return Ok(()) };
    let target = pages.iter().find(|page| Path::new(&page.name) == to);
    match target.is_some_and(|page| page.anchors.iter().any(|it| it == anchor)) {
        true => Ok(()),
        false => Err("there is no such heading".to_owned()),
    }
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// Every page of the book stands once in the table of contents.
pub fn contents(pages: &[Page]) -> Vec<Result<(), String>> {
    let contents = Page::read(CONTENTS);
    let listed: Vec<_> = contents.links.iter().map(|(_, link)| format!("{BOOK}/{link}")).collect();
    let book = pages.iter().filter(|page| Path::new(&page.name).starts_with(BOOK));
    let mut all: Vec<_> = book
        .map(|page| match listed.iter().filter(|link| **link == page.name).count() {
            1 => Ok(()),
            times => Err(format!("{CONTENTS}: {} stands there {times} times", page.name)),
        })
        .collect();
    all.extend(check_listed(&listed));
    all
}

fn check_listed(listed: &[String]) -> impl Iterator<Item = Result<(), String>> {
    let lost = listed.iter().filter(|link| !top().join(link).is_file());
    lost.map(|link| Err(format!("{CONTENTS}: there is no {link}")))
}

#[test]
fn links_that_lead_nowhere_are_named() {
    let page = Page::parse(
        "docs/check.md",
        "# One\n\n[a](#one) [b](#two) [c](none.md) [d](../README.md) [e](https://x.y/z)",
    );
    let wrong: Vec<_> = check(&[page]).into_iter().filter_map(Result::err).collect();
    assert_eq!(
        wrong,
        [
            "docs/check.md:3: #two: there is no such heading",
            "docs/check.md:3: none.md: there is no such file",
            "docs/check.md:3: ../README.md: it leads out of the book",
        ]
    );
}
