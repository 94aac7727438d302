//! The distribution that a guest has, where it has one.

use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Guest, OnlineWord, PolicyWord};

/// Most packages beside those that every image has, and most characters of all their names, which a file is called by.
const MOST_PACKAGES: usize = 8;
const MOST_CHARACTERS: usize = 128;

/// The distributions that a guest can have, and Debian's names of them: those that `dimmer-lab images build` builds.
pub const DISTRIBUTIONS: [(&str, &str); 2] = [("debian-12", "bookworm"), ("debian-13", "trixie")];

/// One of them, by its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Distribution(usize);

impl Distribution {
    /// Its name.
    pub const fn name(self) -> &'static str {
        DISTRIBUTIONS[self.0].0
    }
}

impl FromStr for Distribution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = DISTRIBUTIONS.iter().position(|(name, _)| *name == text);
        found.map(Self).ok_or_else(|| {
            let all: Vec<_> = DISTRIBUTIONS.into_iter().map(|(name, _)| name).collect();
            format!("There is no distribution {text:?}; there are: {}", all.join(", "))
        })
    }
}

impl TryFrom<String> for Distribution {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Distribution> for String {
    fn from(distribution: Distribution) -> Self {
        distribution.name().to_owned()
    }
}

impl JsonSchema for Distribution {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Distribution".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let choice = |(name, suite)| json!({"const": name, "description": format!("Debian's {suite}.")});
        let choices: Vec<_> = DISTRIBUTIONS.into_iter().map(choice).collect();
        json_schema!({"description": "A distribution that can be built.", "oneOf": choices})
    }
}

impl Guest {
    /// `memory_hotplug.online_policy`: what the scenario says; without a word auto-movable in the lab's own guest, and in a
    /// distribution what kernels have without a parameter.
    pub fn policy(&self) -> PolicyWord {
        let usual =
            if self.distribution.is_some() { PolicyWord::ContigZones } else { PolicyWord::AutoMovable };
        self.online_policy.unwrap_or(usual)
    }

    /// What a guest does with blocks as they come: what the scenario says; without a word, the lab's own guest puts them
    /// online, and a distribution does as its kernel is configured to (`by_the_kernel`).
    pub fn auto_online(&self, by_the_kernel: OnlineWord) -> OnlineWord {
        let usual = if self.distribution.is_some() { by_the_kernel } else { OnlineWord::Online };
        self.auto_online_blocks.unwrap_or(usual)
    }

    /// Whether its distribution and packages make sense.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn check(&self) -> Result<(), String> {
        let is_name = |name: &&String| {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
            name.len() > 1 && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(plain)
        };
        if !self.packages.is_empty() && self.distribution.is_none() {
            return Err("packages: only a guest with a `distribution` has any".to_owned());
        }
        if let Some(name) = self.packages.iter().find(|name| !is_name(name)) {
            return Err(format!("packages: {name:?} is not the name of a package, such as \"stress-ng\""));
        }
        let characters: usize = self.packages.iter().map(String::len).sum();
        if self.packages.len() > MOST_PACKAGES || characters > MOST_CHARACTERS {
            return Err(format!(
                "packages: at most {MOST_PACKAGES}, whose names have at most {MOST_CHARACTERS} characters"
            ));
        }
        Ok(())
    }
}
