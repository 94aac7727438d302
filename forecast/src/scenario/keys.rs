//! The format of scenarios as a page for people, made of the JSON schema.

use serde_json::{Map, Value};

use crate::tables::section;

/// The page: a table of keys for each kind of table, and the words of each key that takes one of several.
pub fn page(schema: &Value) -> String {
    let mut page = String::from(
        "# The keys of a scenario\n\nMade by `dimmer-lab scenario keys` from the format itself; \
         [scenarios.md](scenarios.md) explains them.\n",
    );
    section(&mut page, "Scenario", schema);
    let nothing = Map::new();
    let parts = schema["$defs"].as_object().unwrap_or(&nothing);
    for (name, part) in parts {
        section(&mut page, name, part);
    }
    page
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::predict::validate;
    use crate::scenario::Scenario;

    fn docs(name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    #[test]
    fn the_page_of_keys_is_up_to_date() {
        let same = docs("scenario-keys.md") == page(&Scenario::schema());
        assert!(same, "write it again: dimmer-lab scenario keys > docs/scenario-keys.md");
    }

    #[test]
    fn every_key_has_a_meaning() {
        let page = page(&Scenario::schema());
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        assert!(rows.len() > 40);
        for row in rows {
            let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
            assert!(cells.len() == 4 && cells.iter().all(|cell| !cell.trim().is_empty()), "{row}");
        }
    }

    #[test]
    fn every_example_is_a_valid_scenario() {
        let text = docs("scenarios.md");
        let examples: Vec<&str> =
            text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(examples.len() >= 3);
        for example in examples {
            assert_eq!(validate(example, Path::new("docs/scenarios.md")).err(), None, "{example}");
        }
    }
}
