//! The OpenAPI document as it is served: what the derived one does not say of what is read here.
//!
//! - A field that need not be there may be `null`, which says as much (`crate::json`).
//! - A number that has no sign is one of 64 or 32 bits all the same: the formats `uint64` and `uint32` of OpenAPI's registry, where
//!   the derived `int64` would end at 2^63 - 1.

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

/// `document` as JSON.
///
/// # Errors
/// Never, for what utoipa derives.
pub fn written(document: &OpenApi) -> serde_json::Result<String> {
    let mut document = serde_json::to_value(document)?;
    complete(&mut document);
    serde_json::to_string(&document)
}

fn complete(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(complete),
        Value::Object(fields) => {
            fields.values_mut().for_each(complete);
            unsign(fields);
            allow_nothing(fields);
        }
        _ => {}
    }
}

/// A schema of an integer from 0 on says how far it goes.
fn unsign(schema: &mut Map<String, Value>) {
    let (format, most) = match schema.get("format").and_then(Value::as_str) {
        Some("int64") => ("uint64", u64::MAX),
        Some("int32") => ("uint32", u32::MAX.into()),
        _ => return,
    };
    if schema.get("minimum").and_then(Value::as_u64).is_some() {
        schema.insert("format".to_owned(), format.into());
        schema.entry("maximum").or_insert_with(|| most.into());
    }
}

/// In the schema of an object, what is not required may be null.
fn allow_nothing(schema: &mut Map<String, Value>) {
    let required = schema.get("required").cloned().unwrap_or_default();
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    for (name, property) in properties {
        let needed = required.as_array().is_some_and(|all| all.iter().any(|one| one == name.as_str()));
        if !needed && !takes_null(property) {
            *property = or_null(property.take());
        }
    }
}

fn takes_null(schema: &Value) -> bool {
    let null = |kind: &Value| kind == "null";
    match &schema["type"] {
        Value::Array(kinds) if kinds.iter().any(null) => true,
        kind if null(kind) => true,
        _ => ["oneOf", "anyOf"]
            .iter()
            .any(|key| schema[key].as_array().is_some_and(|all| all.iter().any(takes_null))),
    }
}

/// The schema with null beside what it is about; what is said of it stays at its top.
fn or_null(mut schema: Value) -> Value {
    let description = schema.as_object_mut().and_then(|fields| fields.remove("description"));
    let mut both = json!({"oneOf": [{"type": "null"}, schema]});
    if let Some(description) = description {
        both["description"] = description;
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_need_not_be_there_may_be_null() {
        let mut document = json!({
            "required": ["a"],
            "properties": {
                "a": {"type": "string"},
                "b": {"type": "boolean", "description": "B"},
                "c": {"type": ["string", "null"]},
                "d": {"oneOf": [{"type": "null"}, {"$ref": "#/d"}]},
            },
        });
        let (a, c, d) =
            (&document["properties"]["a"], &document["properties"]["c"], &document["properties"]["d"]);
        let b = json!({"oneOf": [{"type": "null"}, {"type": "boolean"}], "description": "B"});
        let expected = json!({"required": ["a"], "properties": {"a": a, "b": b, "c": c, "d": d}});
        complete(&mut document);
        assert_eq!(document, expected);
    }

    #[test]
    fn numbers_without_a_sign_have_their_formats() {
        let mut document = json!([
            {"type": "integer", "format": "int64", "minimum": 0},
            {"type": "integer", "format": "int32", "minimum": 0, "maximum": 7},
            {"type": "integer", "format": "int64"},
        ]);
        complete(&mut document);
        assert_eq!(
            document[0],
            json!({"type": "integer", "format": "uint64", "minimum": 0, "maximum": u64::MAX})
        );
        assert_eq!(document[1], json!({"type": "integer", "format": "uint32", "minimum": 0, "maximum": 7}));
        assert_eq!(document[2], json!({"type": "integer", "format": "int64"}));
    }
}
