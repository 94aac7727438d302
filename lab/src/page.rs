//! A page of HTML that stands alone: one file, no scripts, nothing from elsewhere; light or dark as its reader has it, and
//! printable. It is XML as well, so that other tools can read it.
//!
//! [`Page`] is the frame, whatever is in it: of a check, of the explorer, of a bench. [`blocks`] draws memory blocks as SVG,
//! [`differences`] what was expected of them beside what was seen; [`table`] makes tables.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub mod blocks;
pub mod differences;
mod markup;
pub mod table;

pub use markup::Markup;

/// How it looks.
pub(crate) const STYLE: &str = include_str!("page/style.css");

/// A page.
#[derive(Debug, Clone)]
pub struct Page {
    /// What it is called.
    pub title: String,
    /// What it says first.
    pub lead: String,
    /// What is in it.
    pub body: Markup,
    /// What it says last; see [`made`].
    pub foot: String,
}

/// What pages say last: who made them, and when.
pub fn made(at: SystemTime) -> String {
    format!("Made by dimmer-lab {} at {}.", env!("CARGO_PKG_VERSION"), humantime::format_rfc3339_seconds(at))
}

impl Page {
    /// Writes it as `index.html` into `directory`, which need not exist yet. Returns where it is.
    ///
    /// # Errors
    /// Those of the host's files.
    pub fn write(&self, directory: &Path) -> io::Result<PathBuf> {
        fs::create_dir_all(directory)?;
        let page = directory.join("index.html");
        fs::write(&page, self.document())?;
        Ok(page)
    }

    /// The whole document.
    pub fn document(&self) -> String {
        let mut document = Markup::default();
        let root = [("lang", "en"), ("xmlns", "http://www.w3.org/1999/xhtml")];
        document.element("html", &root, |html| {
            html.element("head", &[], |head| {
                head.empty("meta", &[("charset", "utf-8")]);
                head.empty(
                    "meta",
                    &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")],
                );
                head.empty("meta", &[("name", "color-scheme"), ("content", "light dark")]);
                head.text_element("title", &[], &self.title);
                head.element("style", &[], |style| style.verbatim(STYLE));
            });
            html.element("body", &[], |body| {
                body.element("header", &[], |header| {
                    header.text_element("h1", &[], &self.title);
                    header.text_element("p", &[("class", "lead")], &self.lead);
                });
                body.element("main", &[], |main| main.append(&self.body));
                body.text_element("footer", &[], &self.foot);
            });
        });
        format!("<!DOCTYPE html>\n{}\n", document.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_xml_and_needs_nothing_else() {
        let mut body = Markup::default();
        body.text_element("p", &[("title", "\"<&>\"")], "a < b && c \u{1b}[31m");
        body.element("p", &[], |words| words.prose("from `a < b` on"));
        let page = Page { title: "A & B".into(), lead: "<lead>".into(), body, foot: "foot".into() };
        let text = page.document();
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let document = roxmltree::Document::parse_with_options(&text, options).unwrap();
        let find = |name: &str| document.descendants().find(|node| node.tag_name().name() == name).unwrap();
        assert_eq!(find("title").text(), Some("A & B"));
        let main = find("main").first_element_child().unwrap();
        assert_eq!(main.text(), Some("a < b && c ␛[31m"));
        assert_eq!(find("code").text(), Some("a < b"));
        assert_eq!(main.attribute("title"), Some("\"<&>\""));
        for elsewhere in ["<script", "src=", "url(", "@import", "http://", "https://"] {
            let all = text.replace("http://www.w3.org/1999/xhtml", "");
            assert!(!all.contains(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn colours_are_there_for_light_and_dark_and_for_paper() {
        for rule in ["prefers-color-scheme: dark", "@media print", "color-scheme: light dark"] {
            assert!(STYLE.contains(rule), "{rule}");
        }
        assert!(!STYLE.contains(['<', '&']), "it stands in XML as it is");
    }
}
