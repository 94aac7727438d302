//! JSON that clients send: what says nothing (`null`) counts as not there, and what says something twice is refused.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A value without fields that are `null`, at any depth. Elements of lists that are `null` stay.
#[derive(Debug, PartialEq)]
pub struct Said(pub Value);

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Reader.deserialize(deserializer).map(Self)
    }
}

struct Reader;

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(Self)? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut said = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            let value = fields.next_value_seed(Self)?;
            if said.contains_key(&key) {
                return Err(A::Error::custom(format_args!("duplicate field `{key}`")));
            }
            said.insert(key, value);
        }
        said.retain(|_, value| !value.is_null());
        Ok(said.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Result<Value, serde_json::Error> {
        serde_json::from_str::<Said>(text).map(|said| said.0)
    }

    #[test]
    fn null_counts_as_not_there() {
        let read = read(r#"{"a":null,"b":{"c":null,"d":1},"e":[null,{"f":null}],"g":"null"}"#).unwrap();
        assert_eq!(read, json!({"b": {"d": 1}, "e": [null, {}], "g": "null"}));
    }

    #[test]
    fn everything_else_is_as_it_was() {
        for text in ["1", "-1", "1.5", "18446744073709551615", "true", r#""a\u00e4b""#, "[]", "{}", "null"] {
            assert_eq!(read(text).unwrap(), serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
        assert!(read("{").unwrap_err().is_eof());
    }

    #[test]
    fn a_field_that_is_there_twice_is_refused_also_when_it_says_nothing() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":null,"a":1}"#, r#"[{"b":{"a":1,"a":null}}]"#] {
            let error = read(text).unwrap_err();
            assert!(error.is_data() && error.to_string().contains("duplicate field `a`"), "{error}");
        }
    }
}
