//! Steps with programs of the guest.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Action, Blocks, Dax, OnlineWord};
use crate::scenario::BlockSet;

/// Seconds that a command may take without a word.
const SECONDS: u32 = 300;

/// Runs a command, as a text alone or as a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Run {
    /// The command, which does nothing to memory.
    Command(String),
    /// The command in detail.
    Details(Command),
}

/// By hand, so that an error names the key and not only that nothing fits.
impl<'de> Deserialize<'de> for Run {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RunVisitor)
    }
}

struct RunVisitor;

impl<'de> Visitor<'de> for RunVisitor {
    type Value = Run;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command or a table with `command`")
    }

    fn visit_str<E: de::Error>(self, command: &str) -> Result<Run, E> {
        Ok(Run::Command(command.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Run, A::Error> {
        Command::deserialize(MapAccessDeserializer::new(map)).map(Run::Details)
    }
}

/// A command of the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// The command, as `sh -c` takes it.
    pub command: String,
    /// What it does to memory, in this order, so that the oracle knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub does: Vec<Deed>,
    /// Seconds that it may take.
    #[serde(default = "seconds")]
    pub seconds: u32,
}

const fn seconds() -> u32 {
    SECONDS
}

/// Something that a command does to memory: exactly one, in the words of the steps of the same names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Deed {
    /// It puts blocks online.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<Blocks>,
    /// It takes blocks offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline: Option<BlockSet>,
    /// It has a driver take a dax device, or none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dax: Option<Dax>,
}

impl Run {
    /// The command.
    pub fn command(&self) -> &str {
        match self {
            Self::Command(command) => command,
            Self::Details(details) => &details.command,
        }
    }

    /// Seconds that it may take.
    pub const fn seconds(&self) -> u32 {
        match self {
            Self::Command(_) => SECONDS,
            Self::Details(details) => details.seconds,
        }
    }

    /// What it does to memory.
    pub fn deeds(&self) -> impl Iterator<Item = Action<'_>> {
        let does = match self {
            Self::Command(_) => &[][..],
            Self::Details(details) => &details.does,
        };
        does.iter().flat_map(Deed::actions)
    }

    /// Whether it makes sense in itself.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.command().trim().is_empty() {
            return Err("run: there is no command".to_owned());
        }
        let Self::Details(details) = self else { return Ok(()) };
        for deed in &details.does {
            match &deed.actions()[..] {
                [Action::Online(blocks)] if blocks.how == OnlineWord::Offline => {
                    return Err("run: does: `how` must be online, online_kernel or online_movable".to_owned());
                }
                [_] => {}
                found => {
                    let found = found.len();
                    return Err(format!(
                        "run: does: each must have exactly one of online, offline and dax, not {found}"
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Deed {
    fn actions(&self) -> Vec<Action<'_>> {
        let all = [
            self.online.as_ref().map(Action::Online),
            self.offline.as_ref().map(Action::Offline),
            self.dax.as_ref().map(Action::Dax),
        ];
        all.into_iter().flatten().collect()
    }
}
