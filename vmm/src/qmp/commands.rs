//! The commands by name.

use serde_json::{Map, Value, json};

use super::Monitor;
use super::message::{QmpError, arguments, version};
use super::{balloon, devices, properties, queries};
use crate::control::{Command, Reply};

/// All of them.
const COMMANDS: [&str; 22] = [
    "balloon",
    "cont",
    "device_add",
    "device_del",
    "inject-nmi",
    "object-add",
    "object-del",
    "qmp_capabilities",
    "qom-get",
    "qom-set",
    "query-acpi-ospm-status",
    "query-balloon",
    "query-commands",
    "query-memory-devices",
    "query-memory-size-summary",
    "query-name",
    "query-status",
    "query-version",
    "quit",
    "stop",
    "system_powerdown",
    "system_reset",
];

/// Carries out the command `name`.
pub async fn run(monitor: &Monitor, name: &str, given: Map<String, Value>) -> Result<Value, QmpError> {
    match name {
        "balloon" => balloon::set(monitor, arguments(given)?).await,
        "device_add" => devices::add(monitor, arguments(given)?).await,
        "device_del" => devices::remove(monitor, arguments(given)?).await,
        "object-add" => {
            monitor.backends.add(arguments(given)?, &monitor.access.spec.memory).map(|()| json!({}))
        }
        "object-del" => devices::remove_object(monitor, arguments(given)?).await,
        "qom-get" => properties::get(monitor, arguments(given)?).await,
        "qom-set" => properties::set(monitor, arguments(given)?).await,
        _ => {
            if let Some(argument) = given.keys().next() {
                known(name)?;
                return Err(QmpError::generic(format!("{name}: unknown field `{argument}`, there are none")));
            }
            plain(monitor, name).await
        }
    }
}

/// Carries out a command without arguments.
async fn plain(monitor: &Monitor, name: &str) -> Result<Value, QmpError> {
    match name {
        "stop" => done(monitor, Command::Pause).await,
        "cont" => done(monitor, Command::Resume).await,
        "system_powerdown" => done(monitor, Command::PowerButton).await,
        "inject-nmi" => done(monitor, Command::InjectNmi).await,
        "system_reset" => done(monitor, Command::Reboot).await,
        "quit" => done(monitor, Command::Shutdown).await,
        "query-status" => queries::status(monitor).await,
        "query-name" => queries::name(monitor).await,
        "query-memory-devices" => queries::memory_devices(monitor).await,
        "query-memory-size-summary" => queries::memory_size(monitor).await,
        "query-acpi-ospm-status" => queries::ospm_status(monitor).await,
        "query-balloon" => balloon::show(monitor).await,
        "query-version" => Ok(version()),
        "query-commands" => Ok(COMMANDS.iter().map(|name| json!({"name": name})).collect()),
        _ => Err(known(name).err().unwrap_or_else(QmpError::unexpected)),
    }
}

fn known(name: &str) -> Result<(), QmpError> {
    let unknown = || {
        QmpError::not_found(format!(
            "there is no command {name:?}; query-commands lists those that are there"
        ))
    };
    if COMMANDS.contains(&name) { Ok(()) } else { Err(unknown()) }
}

async fn done(monitor: &Monitor, command: Command) -> Result<Value, QmpError> {
    match monitor.access.call(command).await? {
        Reply::Done => Ok(json!({})),
        _ => Err(QmpError::unexpected()),
    }
}
