//! Amounts of memory as `kernelcore=` and `movablecore=` take them: `1G`, `50%`.

use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use dimmer_oracle::boot::movable;

/// An amount of memory as it stands on a kernel's command line: a size, or a part of all memory in percent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Amount {
    text: String,
    amount: movable::Amount,
}

impl Amount {
    /// What the oracle knows it as.
    pub const fn amount(&self) -> movable::Amount {
        self.amount
    }

    /// As the kernel reads it.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self { text: text.to_owned(), amount: text.parse()? })
    }
}

impl TryFrom<String> for Amount {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Amount> for String {
    fn from(amount: Amount) -> Self {
        amount.text
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "description": "An amount of memory, as a text: a size with K, M, G or T, or a part of all memory.", "pattern": "^[0-9]+[KMGTkmgt%]?$", "examples": ["1G", "50%"]})
    }
}
