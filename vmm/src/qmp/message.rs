//! The messages of the protocol: requests, answers, errors, the greeting.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::control::Refusal;

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QmpError {
    class: &'static str,
    desc: String,
}

impl QmpError {
    /// A command that is not there, or not now.
    pub fn not_found(desc: impl Into<String>) -> Self {
        Self { class: "CommandNotFound", desc: desc.into() }
    }

    /// A device that is not there.
    pub fn no_device(desc: impl Into<String>) -> Self {
        Self { class: "DeviceNotFound", desc: desc.into() }
    }

    /// A device that the machine was not made with.
    pub fn not_active(desc: impl Into<String>) -> Self {
        Self { class: "DeviceNotActive", desc: desc.into() }
    }

    /// Anything else.
    pub fn generic(desc: impl Into<String>) -> Self {
        Self { class: "GenericError", desc: desc.into() }
    }

    /// The machine answered something that is no answer to the command: a bug.
    pub fn unexpected() -> Self {
        Self::generic("the machine's reply does not fit the command")
    }
}

impl From<Refusal> for QmpError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound(text) => Self::no_device(text),
            Refusal::Invalid(text) | Refusal::Conflict(text) | Refusal::Host(text) => Self::generic(text),
        }
    }
}

/// A request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The command's name.
    pub execute: String,
    /// Its arguments.
    #[serde(default)]
    pub arguments: Map<String, Value>,
    /// What the answer is to have with it.
    #[serde(default)]
    id: Option<Value>,
}

impl Request {
    /// What `value` asks for. The error is the answer.
    pub fn read(value: Value) -> Result<Self, Value> {
        let id = value.get("id").cloned();
        let wrong = |desc: String| answer(id.clone(), Err(QmpError::generic(desc)));
        if !value.is_object() {
            return Err(wrong("a request must be a JSON object".to_owned()));
        }
        serde_json::from_value(value).map_err(|error| wrong(error.to_string()))
    }

    /// The answer to it.
    pub fn answer(&self, result: Result<Value, QmpError>) -> Value {
        answer(self.id.clone(), result)
    }
}

/// An answer to a request with this `id`.
pub fn answer(id: Option<Value>, result: Result<Value, QmpError>) -> Value {
    let mut answer = match result {
        Ok(value) => json!({"return": value}),
        Err(QmpError { class, desc }) => json!({"error": {"class": class, "desc": desc}}),
    };
    if let Some(id) = id {
        answer["id"] = id;
    }
    answer
}

/// The arguments as a `T`, which names what is wrong with them.
pub fn arguments<T: DeserializeOwned>(arguments: Map<String, Value>) -> Result<T, QmpError> {
    serde_json::from_value(arguments.into()).map_err(|error| QmpError::generic(error.to_string()))
}

/// The version: Dimmer's.
pub fn version() -> Value {
    let number = |text: &str| text.parse::<u32>().unwrap_or(0);
    let numbers = json!({
        "major": number(env!("CARGO_PKG_VERSION_MAJOR")),
        "minor": number(env!("CARGO_PKG_VERSION_MINOR")),
        "micro": number(env!("CARGO_PKG_VERSION_PATCH")),
    });
    json!({"qemu": numbers, "package": concat!("dimmer-", env!("CARGO_PKG_VERSION"))})
}

/// What a client hears first.
pub fn greeting() -> Value {
    json!({"QMP": {"version": version(), "capabilities": []}})
}
