//! A page of HTML that stands alone: one file, no scripts, nothing from elsewhere; light or dark as its reader has it, and
//! printable. It is XML as well, so that other tools can read it.
//!
//! [`Page`] is the frame, whatever is in it; [`blocks`] draws memory blocks as SVG.

pub mod blocks;
mod markup;

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
    /// What it says last: who made it, and when.
    pub foot: String,
}

impl Page {
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
        let page = Page { title: "A & B".into(), lead: "<lead>".into(), body, foot: "foot".into() };
        let text = page.document();
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let document = roxmltree::Document::parse_with_options(&text, options).unwrap();
        let find = |name: &str| document.descendants().find(|node| node.tag_name().name() == name).unwrap();
        assert_eq!(find("title").text(), Some("A & B"));
        let main = find("main").first_element_child().unwrap();
        assert_eq!(main.text(), Some("a < b && c ␛[31m"));
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
