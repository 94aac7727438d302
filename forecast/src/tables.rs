//! Types of a JSON schema as tables for people, in Markdown.

use std::fmt::Write;

use serde_json::Value;

/// Adds a section about the type `name`: a table of its keys, or the words that it may be.
pub fn section(page: &mut String, name: &str, part: &Value) {
    let _ = write!(page, "\n## {name}\n\n{}\n", text(part));
    table(page, part);
    for joined in part["allOf"].as_array().into_iter().flatten() {
        match &joined["$ref"] {
            Value::Null => table(page, joined),
            _ => page.push_str(&format!("\nAll that {} has.\n", kind(joined))),
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

/// The keys of an object, if it is one.
fn table(page: &mut String, part: &Value) {
    let Some(keys) = part["properties"].as_object() else { return };
    let required: Vec<&str> =
        part["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
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

/// What a key takes, in words, with links to the sections of types.
#[must_use]
pub fn kind(takes: &Value) -> String {
    if let Some(name) = takes["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(keys) = takes["properties"].as_object() {
        // What tells it from others comes first.
        let (first, rest): (Vec<_>, Vec<_>) = keys.iter().partition(|(_, takes)| takes["enum"].is_array());
        let keys = first.into_iter().chain(rest).map(|(key, takes)| format!("`{key}` {}", kind(takes)));
        return keys.collect::<Vec<_>>().join(", ");
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

/// The description in one line, as a cell of a table takes it; of what may be absent, that of what is there otherwise.
#[must_use]
pub fn text(part: &Value) -> String {
    let choices =
        part["oneOf"].as_array().filter(|choices| choices.iter().any(|choice| choice["type"] == "null"));
    let within = choices.into_iter().flatten().find_map(|choice| choice["description"].as_str());
    let words = part["description"].as_str().or(within).unwrap_or_default().split_whitespace();
    words.collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
