//! Tables: with a caption, headings that say what they are for, and a way to be wider than the page.

use super::Markup;

/// A table of this class with these headings; `body` adds its rows.
pub fn table(
    page: &mut Markup,
    class: &str,
    caption: &str,
    headings: &[&str],
    body: impl FnOnce(&mut Markup),
) {
    let fill = |table: &mut Markup| {
        table.element("caption", &[], |words| words.prose(caption));
        if !headings.is_empty() {
            table.element("thead", &[], |head| {
                head.element("tr", &[], |row| {
                    headings.iter().for_each(|name| row.text_element("th", &[("scope", "col")], name));
                });
            });
        }
        table.element("tbody", &[], body);
    };
    page.element("div", &[("class", "scroll")], |div| div.element("table", &[("class", class)], fill));
}

/// A row with its heading; `cells` adds what follows.
pub fn row(body: &mut Markup, heading: &str, cells: impl FnOnce(&mut Markup)) {
    body.element("tr", &[], |row| {
        row.text_element("th", &[("scope", "row")], heading);
        cells(row);
    });
}

/// A table of things with their names.
pub fn facts<'a>(page: &mut Markup, caption: &str, facts: impl IntoIterator<Item = (&'a str, &'a str)>) {
    table(page, "facts", caption, &[], |body| {
        for (name, value) in facts {
            row(body, name, |row| row.text_element("td", &[], value));
        }
    });
}
