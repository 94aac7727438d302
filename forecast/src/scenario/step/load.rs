//! Steps that have memory used.

use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::scenario::Size;

/// How much of a guest's memory is to be in use, in percent; in a file a text such as `"70%"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Load(pub u64);

/// The most that can be asked for: a guest without any memory left does nothing more.
const MOST: u64 = 90;

impl FromStr for Load {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let percent = text.strip_suffix('%').and_then(|digits| digits.parse().ok());
        percent
            .filter(|percent| *percent <= MOST)
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not a part of all memory from \"0%\" to \"{MOST}%\""))
    }
}

impl TryFrom<String> for Load {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Load> for String {
    fn from(Load(percent): Load) -> Self {
        format!("{percent}%")
    }
}

impl JsonSchema for Load {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Load".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "description": "A part of all memory, as a text: 0% to 90%.", "pattern": "^[0-9]+%$", "examples": ["70%"]})
    }
}

/// The pool of huge pages of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// The size of a page: 2M or 1G.
    pub size: Size,
    /// How many it is to have.
    pub count: u64,
    /// The node.
    #[serde(default)]
    pub node: u32,
}
