//! Steps about memory devices.

use std::str::FromStr;

use dimmer_plan::dimm::{Dimm, DimmRange};
use dimmer_plan::fault::Fault;
use dimmer_plan::flags::{FaultArg, RangesArg};
use dimmer_plan::placement::Placement;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::scenario::Size;

/// Plugs ACPI memory devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plug {
    /// The device's name, or with `count` what the names begin with: `d` for `d0`, `d1`, …
    pub id: String,
    /// Number of devices, plugged one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub count: Option<u32>,
    /// Its size, when it has one range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// Its ranges, as `dimmer ctl dimm add --ranges` takes them: `1G~512M+3G`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranges: Option<String>,
    /// Whether each range lies below the one before it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub descending: bool,
    /// Whether its size may be one that the guest cannot take.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unaligned: bool,
    /// Its node.
    #[serde(default)]
    pub node: u32,
    /// The guest-physical address at which it begins; the lowest free one that is aligned when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Size>,
    /// Of what the address at which it begins is a multiple.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub align: Option<Size>,
    /// How the guest comes to know of it.
    #[serde(default)]
    pub notify: NotifyWord,
}

/// How the guest comes to know of a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NotifyWord {
    /// A device check of its slot.
    #[default]
    DeviceCheck,
    /// A bus check of the container of all slots; with `count` the devices before the last one wait for it.
    BusCheck,
    /// Not at all, until something else makes it look.
    None,
}

impl NotifyWord {
    /// The word of the machine's API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::DeviceCheck => "device-check",
            Self::BusCheck => "bus-check",
            Self::None => "none",
        }
    }
}

impl Plug {
    /// The names of the devices, in the order in which they are plugged.
    pub fn ids(&self) -> Vec<String> {
        match self.count {
            None => vec![self.id.clone()],
            Some(count) => (0..count).map(|number| format!("{}{number}", self.id)).collect(),
        }
    }

    /// The device of the name `id`.
    ///
    /// # Errors
    /// When the ranges cannot be read.
    pub fn dimm(&self, id: &str) -> Result<Dimm, String> {
        let ranges = match self.size {
            Some(size) => vec![DimmRange { size: size.0, gap: 0 }],
            None => self.ranges.as_deref().unwrap_or_default().parse::<RangesArg>()?.0,
        };
        let placement =
            Placement { start: self.start.map(|start| start.0), align: self.align.map(|align| align.0) };
        let Self { descending, node, unaligned, .. } = *self;
        Ok(Dimm { id: id.to_owned(), ranges, descending, node, unaligned, placement })
    }

    /// How the guest comes to know of the device `number` of [`ids`](Self::ids).
    pub fn notify(&self, number: usize) -> NotifyWord {
        let last = self.count.map_or(1, |count| usize::try_from(count).unwrap_or(usize::MAX));
        match self.notify {
            NotifyWord::BusCheck if number + 1 < last => NotifyWord::None,
            notify => notify,
        }
    }
}

/// What is to go wrong with a memory device; in a file a text as `dimmer run --fault` takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FaultText {
    text: String,
    /// The fault.
    pub fault: Fault,
}

impl FromStr for FaultText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let FaultArg(fault) = text.parse().map_err(|error| format!("{text:?}: {error}"))?;
        fault.check().map_err(|error| format!("{text:?}: {error}"))?;
        Ok(Self { text: text.to_owned(), fault })
    }
}

impl TryFrom<String> for FaultText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<FaultText> for String {
    fn from(fault: FaultText) -> Self {
        fault.text
    }
}

impl JsonSchema for FaultText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Fault".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "What is to go wrong with a memory device, as `dimmer run --fault` takes it.",
            "examples": ["device=vmem0,on=plug,do=busy,nth=3"]
        })
    }
}
