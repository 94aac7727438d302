//! A command's input and output in JSON: text where it is text, numbers where it is not.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that are usually text: a JSON string when they are UTF-8, else an array of numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

/// The two forms on the wire.
#[derive(Deserialize)]
#[serde(untagged)]
enum Wire {
    Text(String),
    Numbers(Vec<u8>),
}

impl Bytes {
    /// The bytes as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.collect_seq(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Wire::deserialize(deserializer)? {
            Wire::Text(text) => text.into_bytes(),
            Wire::Numbers(numbers) => numbers,
        }))
    }
}
