//! What a field that is missing in a request would be, in the words of the OpenAPI document.

use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};
use utoipa::ToSchema;

/// The field that `message` says is missing.
pub fn name(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.split('`').next()
}

/// What `field` of the object at `path` in a `T` would be: its kind and what it means.
pub fn explain<T: ToSchema>(path: &Path, field: &str) -> Option<String> {
    let mut named = Vec::new();
    T::schemas(&mut named);
    let value = |schema| serde_json::to_value(schema).ok();
    let named: Map<String, Value> =
        named.into_iter().filter_map(|(name, schema)| Some((name, value(schema)?))).collect();
    let mut at = value(T::schema())?;
    for segment in path {
        at = match segment {
            Segment::Map { key } => resolved(&at, &named)["properties"][key].clone(),
            Segment::Seq { .. } => resolved(&at, &named)["items"].clone(),
            Segment::Enum { .. } | Segment::Unknown => return None,
        };
    }
    let property = &resolved(&at, &named)["properties"][field];
    let kind = kind(resolved(property, &named))?;
    let meaning = property["description"].as_str().or(resolved(property, &named)["description"].as_str())?;
    Some(format!("{kind}: {}", meaning.split_whitespace().collect::<Vec<_>>().join(" ")))
}

/// The schema itself where `schema` only names it.
fn resolved<'a>(schema: &'a Value, named: &'a Map<String, Value>) -> &'a Value {
    let reference = |schema: &Value| Some(schema["$ref"].as_str()?.rsplit('/').next()?.to_owned());
    let one = schema["oneOf"].as_array().and_then(|all| all.iter().find_map(reference));
    reference(schema).or(one).and_then(|name| named.get(&name)).unwrap_or(schema)
}

/// What kind of value it is.
fn kind(schema: &Value) -> Option<String> {
    let values = schema["enum"].as_array().cloned().or_else(|| {
        let all = schema["oneOf"].as_array()?;
        Some(all.iter().flat_map(|one| one["enum"].as_array().cloned().unwrap_or_default()).collect())
    });
    if let Some(values) = values {
        let words: Vec<_> = values.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        return Some(format!("one of {}", words.join(", ")));
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"].as_array()?.first()?.as_str())?;
    Some(match kind {
        "string" => "text".to_owned(),
        "integer" => "a whole number".to_owned(),
        "boolean" => "true or false".to_owned(),
        "array" => "a list".to_owned(),
        other => format!("an {other}"),
    })
}
