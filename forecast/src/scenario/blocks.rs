//! Sets of memory blocks as a person writes them: `48-79,144`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Most blocks in one range, so that a slip of the pen is no endless list.
const MOST: u64 = 1 << 20;

/// Block numbers; in a file a text such as `"48-79,144"`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BlockSet(pub BTreeSet<u64>);

impl FromStr for BlockSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = BTreeSet::new();
        for part in text.split(',').map(str::trim) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let wrong = || format!("{part:?} is not a block or a range of blocks, such as \"48-79\"");
            let (first, last) =
                (first.parse::<u64>().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
            if first > last || last - first >= MOST {
                return Err(wrong());
            }
            all.extend(first..=last);
        }
        Ok(Self(all))
    }
}

impl TryFrom<String> for BlockSet {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<BlockSet> for String {
    fn from(blocks: BlockSet) -> Self {
        blocks.to_string()
    }
}

impl fmt::Display for BlockSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for index in &self.0 {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == *index => *last = *index,
                _ => runs.push((*index, *index)),
            }
        }
        for (number, (first, last)) in runs.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            write!(f, "{comma}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
        }
        Ok(())
    }
}

impl JsonSchema for BlockSet {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "BlockSet".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "description": "Memory blocks, as a text.", "pattern": "^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$", "examples": ["48-79,144"]})
    }
}
