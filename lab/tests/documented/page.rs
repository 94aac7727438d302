//! A page: its headings, its blocks of code, what of the text is code, and its links.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::shell::{self, Words};

/// The book's table of contents, which is no page.
const CONTENTS: &str = "SUMMARY.md";
/// The language of blocks that show what somebody sees.
const SEEN: &str = "text";

/// A page as far as the tests look at it. Everything has the line it stands on.
#[derive(Debug, Default)]
pub struct Page {
    /// Its path from the top of the repository.
    pub name: String,
    /// Headings, as links name them.
    pub anchors: Vec<String>,
    /// Blocks of code.
    pub blocks: Vec<Block>,
    /// Code within text.
    pub spans: Vec<(usize, String)>,
    /// Where links lead to.
    pub links: Vec<(usize, String)>,
}

/// A block of code.
#[derive(Debug, Default)]
pub struct Block {
    /// The line of its first word.
    pub line: usize,
    /// The language behind the fence; none for an indented block.
    pub language: String,
    /// What it says.
    pub text: String,
}

/// The top of the repository.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the tests' sources are there")
}

/// The folders that have pages.
const FOLDERS: [&str; 5] = ["", "docs/", "examples/bisect/", "examples/python/", "examples/rust/"];

/// README.md and its like, all pages of `docs/` but its table of contents, and what examples say of themselves.
pub fn pages() -> Vec<Page> {
    let mut names = Vec::new();
    for folder in FOLDERS {
        for entry in fs::read_dir(top().join(folder)).expect("the folder is there") {
            let name = entry.expect("it is readable").file_name().into_string().expect("names are text");
            if name.ends_with(".md") && name != CONTENTS {
                names.push(format!("{folder}{name}"));
            }
        }
    }
    names.sort();
    names.iter().map(|name| Page::read(name)).collect()
}

impl Page {
    /// Reads the page of this name.
    pub fn read(name: &str) -> Self {
        let text = fs::read_to_string(top().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self::parse(name, &text)
    }

    /// A page that says `text`.
    pub fn parse(name: &str, text: &str) -> Self {
        let mut page = Self { name: name.to_owned(), ..Self::default() };
        let mut heading = None;
        let line = |range: &Range<usize>| text[..range.start].matches('\n').count() + 1;
        let mut block: Option<Block> = None;
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => page.anchors.extend(heading.take().map(|it| anchor(&it))),
                Event::Start(Tag::CodeBlock(kind)) => {
                    let (language, fence) = match kind {
                        CodeBlockKind::Fenced(language) => (language.into_string(), 1),
                        CodeBlockKind::Indented => (String::new(), 0),
                    };
                    block = Some(Block { line: line(&range) + fence, language, text: String::new() });
                }
                Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
                Event::Start(Tag::Link { dest_url, .. }) => {
                    page.links.push((line(&range), dest_url.into_string()));
                }
                Event::Text(words) => {
                    if let Some(block) = &mut block {
                        block.text.push_str(&words);
                    } else if let Some(heading) = &mut heading {
                        heading.push_str(&words);
                    }
                }
                Event::Code(words) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&words);
                    }
                    page.spans.push((line(&range), words.into_string()));
                }
                _ => {}
            }
        }
        page
    }

    /// The command lines of the programs in its blocks.
    pub fn commands(&self) -> Vec<(usize, Words)> {
        let blocks = self.blocks.iter().filter(|block| block.language != SEEN);
        blocks.flat_map(|block| shell::commands(block.line, &block.text)).collect()
    }

    /// What its text calls a command of the programs.
    pub fn mentioned(&self) -> Vec<(usize, Words)> {
        let begin = |text: &str| shell::PROGRAMS.iter().any(|it| text.starts_with(&format!("{it} ")));
        let spans = self.spans.iter().filter(|(_, text)| begin(text));
        spans.flat_map(|(line, text)| shell::commands(*line, &text.replace('\n', " "))).collect()
    }

    /// Its samples of TOML that are of a kind.
    pub fn samples(&self, kind: impl Fn(&str) -> bool) -> Vec<(usize, String)> {
        let samples = self.blocks.iter().filter(|block| block.language == "toml" && kind(&block.text));
        samples.map(|block| (block.line, block.text.clone())).collect()
    }
}

/// A heading as links name it: small letters, hyphens for spaces, and nothing else but letters and digits.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'));
    kept.map(|it| if it == ' ' { '-' } else { it }).collect()
}

#[test]
fn a_page_is_read_with_its_lines() {
    let page =
        Page::parse("a.md", "# One *and* `two`\n\n    dimmer ctl … info\n\n```toml\nx = 1\n```\n[x](y.md#z)");
    assert_eq!(page.anchors, ["one-and-two"]);
    let blocks: Vec<_> =
        page.blocks.iter().map(|it| (it.line, it.language.as_str(), it.text.as_str())).collect();
    assert_eq!(blocks, [(3, "", "dimmer ctl … info\n"), (6, "toml", "x = 1\n")]);
    assert_eq!(page.links, [(8, "y.md#z".to_owned())]);
    assert_eq!(page.commands().len(), 1);
}
