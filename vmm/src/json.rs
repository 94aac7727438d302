//! JSON that clients send: what says nothing (`null`) counts as not there, what says something twice is refused, and a number
//! without a fraction is an integer however it is written (JSON Schema, section 6.1.1), as far as floating point is exact.

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
        const EXACT: f64 = (1_i64 << f64::MANTISSA_DIGITS) as f64;
        let whole = value.fract() == 0.0 && (-EXACT..=EXACT).contains(&value);
        // Without a point and an exponent, such a number is written as an integer.
        let integer = whole.then(|| format!("{value:.0}").parse::<i64>().ok()).flatten();
        Ok(integer.map_or_else(|| value.into(), Value::from))
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
    fn a_number_without_a_fraction_is_an_integer() {
        for (text, number) in
            [("4096.0", json!(4096)), ("1e3", json!(1000)), ("-2.0", json!(-2)), ("-0.0", json!(0))]
        {
            assert_eq!(read(text).unwrap(), number, "{text}");
        }
        for text in ["1.5", "1e300", "-1e40", "18014398509481984.0"] {
            assert_eq!(read(text).unwrap(), serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
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
