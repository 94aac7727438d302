//! What is to come of a step.

use std::fmt;

use dimmer_oracle::memory::Errno;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{BlockSet, Size};

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
    /// `48 offline:Normal/Movable` for one that is offline; `48-55 Movable node 1` where the node is to be looked at.
    /// Empty when there is to be no block behind boot memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks: Option<String>,
    /// How the change ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeWord>,
    /// The `_OST` pairs that the guest reports: `"3,0x84 3,0x82"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ost: Option<String>,
    /// The plugged size of the device that is resized; in other steps, of the machine's only virtio-mem device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugged: Option<Size>,
    /// What each block that does not do as asked fails with: `"48 EBUSY, 50-51 EINVAL"`; empty for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Texts that the kernel's log has since the step before, each in a line of its own, in any order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// Memory that the kernel takes for broken: `HardwareCorrupted` of `/proc/meminfo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware_corrupted: Option<Size>,
    /// The exit status of the command that a step runs; 0 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u8>,
    /// Texts that the command writes, to standard output or as errors, each in a line of its own, in any order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<String>,
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

impl fmt::Display for OutcomeWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Refused => "refused",
            Self::InProgress => "in-progress",
        })
    }
}

impl Expected {
    /// Whether it says anything of a command.
    pub(super) const fn is_about_a_command(&self) -> bool {
        self.status.is_some() || !self.output.is_empty()
    }

    /// The `_OST` pairs.
    ///
    /// # Errors
    /// The part that is no pair.
    pub fn reports(&self) -> Result<Option<Vec<(u32, u32)>>, String> {
        self.ost.as_deref().map(|text| text.split_whitespace().map(pair).collect()).transpose()
    }

    /// What each block fails with, ascending.
    ///
    /// # Errors
    /// The part that is no block with an error.
    pub fn refusals(&self) -> Result<Option<Vec<(u64, Errno)>>, String> {
        let Some(text) = &self.refused else { return Ok(None) };
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let each = parts.map(refusal).collect::<Result<Vec<_>, _>>()?;
        Ok(Some(each.into_iter().flatten().collect()))
    }
}

impl Expect {
    /// Whether its texts can be read.
    pub(super) fn check(&self) -> Result<(), String> {
        let Self::Details(expected) = self else { return Ok(()) };
        if let Some(blocks) = &expected.blocks {
            crate::expect::parse(blocks).map_err(|error| format!("expect: blocks: {error}"))?;
        }
        expected.reports().map_err(|error| format!("expect: {error}"))?;
        expected.refusals().map_err(|error| format!("expect: {error}")).map(drop)
    }
}

fn refusal(text: &str) -> Result<Vec<(u64, Errno)>, String> {
    let wrong = || format!("refused: {text:?} is not a block or a range with an error, such as 48-50 EBUSY");
    let (blocks, errno) = text.split_once(' ').ok_or_else(wrong)?;
    let blocks: BlockSet = blocks.parse().map_err(|_| wrong())?;
    let errno = Some(Errno::named(errno)).filter(|errno| *errno != Errno::Other).ok_or_else(wrong)?;
    Ok(blocks.0.into_iter().map(|index| (index, errno)).collect())
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
