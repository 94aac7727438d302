//! Pages of reference that are made of the programs themselves: their command lines and the API.

mod api;
mod command_lines;

/// Each page's name and text.
#[must_use]
pub fn pages() -> [(&'static str, String); 2] {
    [("command-lines.md", command_lines::page()), ("api.md", api::page())]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_pages_are_up_to_date() {
        for (name, page) in pages() {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
            let there = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(there == page, "write docs/{name} again: dimmer-lab reference docs");
        }
    }

    #[test]
    fn every_request_and_key_has_a_meaning() {
        let page = api::page();
        // Registers are called as processors' manuals have them.
        let sections = page.split("\n## ").filter(|section| !section.starts_with("Registers\n"));
        let rows: Vec<&str> = sections.flat_map(str::lines).filter(|line| line.starts_with("| `")).collect();
        assert!(rows.len() > 100);
        for row in rows {
            let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
            assert!(cells.len() >= 4 && cells.iter().all(|cell| !cell.trim().is_empty()), "{row}");
        }
    }
}
