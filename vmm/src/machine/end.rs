//! How a machine ends.

/// How a machine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The guest powered off.
    PowerOff,
    /// The user ended it: through the API, a signal, or the terminal.
    Asked(String),
    /// The guest's kernel panicked.
    Panic(String),
    /// The guest met a triple fault.
    TripleFault,
    /// KVM or the host cannot go on.
    Failed(String),
}

impl End {
    /// Exit status of `dimmer run`: 0 when guest or user ended the machine, 1 otherwise.
    pub const fn status(&self) -> u8 {
        match self {
            Self::PowerOff | Self::Asked(_) => 0,
            Self::Panic(_) | Self::TripleFault | Self::Failed(_) => 1,
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PowerOff => write!(f, "the guest powered off"),
            Self::Asked(how) => write!(f, "ended {how}"),
            Self::Panic(reason) => write!(f, "the guest's kernel panicked: {reason}"),
            Self::TripleFault => {
                write!(f, "the guest met a triple fault: its kernel lost control of the CPU")
            }
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}
