//! The format of scenarios as a page for people, made of the JSON schema.

use std::fmt::Write;

use serde_json::{Map, Value};

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

fn section(page: &mut String, name: &str, part: &Value) {
    let _ = write!(page, "\n## {name}\n\n{}\n", text(part));
    let required: Vec<&str> =
        part["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if let Some(keys) = part["properties"].as_object() {
        page.push_str("\n| key | takes | default | meaning |\n|---|---|---|---|\n");
        for (key, takes) in keys {
            let default = match &takes["default"] {
                Value::Null if required.contains(&key.as_str()) => "required".to_owned(),
                Value::Null | Value::Object(_) => "–".to_owned(),
                default => format!("`{default}`"),
            };
            let _ = writeln!(page, "| `{key}` | {} | {default} | {} |", kind(takes), text(takes));
        }
    }
    let choices = part["oneOf"].as_array().or_else(|| part["anyOf"].as_array());
    if choices.is_some() || part["enum"].is_array() {
        page.push('\n');
    }
    for choice in choices.into_iter().flatten() {
        let _ = writeln!(page, "- {}: {}", kind(choice), text(choice));
    }
    for word in part["enum"].as_array().into_iter().flatten() {
        let _ = writeln!(page, "- `{word}`");
    }
    if let Some(pattern) = part["pattern"].as_str() {
        let _ = writeln!(page, "\nSuch as `{}` (`{}`)", part["examples"][0], pattern.replace('|', "\\|"));
    }
}

/// What a key takes.
fn kind(takes: &Value) -> String {
    if let Some(name) = takes["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if !takes["const"].is_null() {
        return format!("`{}`", takes["const"]);
    }
    if let Some(words) = takes["enum"].as_array() {
        return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    let choices = takes["anyOf"].as_array().or_else(|| takes["oneOf"].as_array());
    if let Some(choice) = choices.and_then(|choices| choices.iter().find(|choice| choice["type"] != "null")) {
        return kind(choice);
    }
    let named = |name: &str| match name {
        "array" => format!("list of {}", kind(&takes["items"])),
        "string" => "text".to_owned(),
        "boolean" => "`true` or `false`".to_owned(),
        "integer" => "number".to_owned(),
        other => other.to_owned(),
    };
    match &takes["type"] {
        Value::String(name) => named(name),
        Value::Array(names) => {
            let name = names.iter().filter_map(Value::as_str).find(|name| *name != "null");
            name.map(named).unwrap_or_default()
        }
        _ => String::new(),
    }
}

/// The description in one line.
fn text(part: &Value) -> String {
    let words = part["description"].as_str().unwrap_or_default().split_whitespace();
    words.collect::<Vec<_>>().join(" ").replace('|', "\\|")
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
