//! What is to come of a step.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::Size;

/// What is to come of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Expect {
    /// One word.
    Word(ExpectWord),
    /// Details.
    Details(Expected),
}

/// By hand, so that an error names the key and not only that nothing fits.
impl<'de> Deserialize<'de> for Expect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExpectVisitor)
    }
}

struct ExpectVisitor;

impl<'de> Visitor<'de> for ExpectVisitor {
    type Value = Expect;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"oracle\", \"anything\" or a table")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Expect, E> {
        ExpectWord::deserialize(word.into_deserializer()).map(Expect::Word)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Expect, A::Error> {
        Expected::deserialize(MapAccessDeserializer::new(map)).map(Expect::Details)
    }
}

/// One word for an expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExpectWord {
    /// What the oracle says; the same as no expectation at all.
    Oracle,
    /// Anything: neither layout nor outcome is looked at after this step.
    Anything,
}

/// An expectation in detail. The oracle's word counts as well, unless `oracle` is false.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expected {
    /// Every block from the lowest that is named on, as a person writes it: `48-143 Movable, 144 Normal`;
    /// `48 offline:Normal/Movable` for one that is offline. Empty when there is to be no block behind boot
    /// memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks: Option<String>,
    /// How the change ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeWord>,
    /// The `_OST` pairs that the guest reports: `"3,0x84 3,0x82"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ost: Option<String>,
    /// The device's plugged size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugged: Option<Size>,
    /// Whether the oracle's word counts, too; it does when this is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oracle: Option<bool>,
}

/// How a change ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeWord {
    /// As asked.
    Done,
    /// In part.
    Partial,
    /// Not at all.
    Refused,
    /// It has not ended: the guest does what it can, and that is not all.
    InProgress,
}

impl Expected {
    /// The `_OST` pairs.
    ///
    /// # Errors
    /// The part that is no pair.
    pub fn reports(&self) -> Result<Option<Vec<(u32, u32)>>, String> {
        self.ost.as_deref().map(|text| text.split_whitespace().map(pair).collect()).transpose()
    }
}

fn pair(text: &str) -> Result<(u32, u32), String> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    let (source, status) = text.split_once(',').unwrap_or((text, ""));
    let pair = number(source).zip(number(status));
    pair.ok_or_else(|| format!("ost: {text:?} is not a pair such as 3,0x84"))
}
