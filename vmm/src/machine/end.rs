//! How a machine ends.

use crate::events::Cause;
use crate::printable::printable;

/// How a machine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The guest powered off.
    PowerOff,
    /// The user ended it: through the API, a signal, or the terminal.
    Asked(String),
    /// The guest's kernel panicked, with these words if they were heard.
    Panic(Option<String>),
    /// The guest met a triple fault.
    TripleFault,
    /// KVM or the host cannot go on.
    Failed(String),
    /// Dimmer itself is at fault: a part of it panicked.
    Defect(String),
}

impl End {
    /// The same in one word.
    pub const fn cause(&self) -> Cause {
        match self {
            Self::PowerOff => Cause::PowerOff,
            Self::Asked(_) => Cause::Asked,
            Self::Panic(_) => Cause::Panic,
            Self::TripleFault => Cause::TripleFault,
            Self::Failed(_) => Cause::Failed,
            Self::Defect(_) => Cause::Defect,
        }
    }

    /// Exit status of `dimmer run`: 0 when guest or user ended the machine, 1 when the guest lost itself, 3 when
    /// the host or its KVM failed, 4 when Dimmer did. (2 is bad usage, or a host on which no machine starts.)
    pub const fn status(&self) -> u8 {
        match self {
            Self::PowerOff | Self::Asked(_) => 0,
            Self::Panic(_) | Self::TripleFault => 1,
            Self::Failed(_) => 3,
            Self::Defect(_) => 4,
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PowerOff => write!(f, "the guest powered off"),
            Self::Asked(how) => write!(f, "ended {how}"),
            Self::Panic(None) => write!(f, "the guest's kernel panicked; its console may say why"),
            Self::Panic(Some(words)) => write!(f, "the guest's kernel panicked: {}", printable(words)),
            Self::TripleFault => {
                write!(f, "the guest met a triple fault: its kernel lost control of the CPU")
            }
            Self::Failed(reason) => write!(f, "the host failed: {reason}"),
            Self::Defect(what) => write!(f, "a defect of dimmer, please report it: {what}"),
        }
    }
}
