//! What can go wrong where: the names that faults are written with, and what they mean.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Fault, Point};

/// What goes wrong, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ActionName {
    /// The request is answered with NACK.
    Nack,
    /// The request is answered with BUSY.
    Busy,
    /// The request is answered with ERROR.
    Error,
    /// The request is answered, or the eject takes effect, `milliseconds` later.
    Delay,
    /// The requested size becomes `size` right before the request is looked at.
    Request,
    /// The host's step fails.
    Fail,
    /// The host's step is taken for done but is not: an error planted in the books.
    Skip,
    /// `_CRS` names no ranges.
    Empty,
    /// The memory is taken away without asking the guest, which Linux does not survive.
    Surprise,
    /// `_EJ0` has no effect.
    Refuse,
    /// `_EJ0` takes the memory, but `_STA` shows the device until the guest reports the end of the
    /// ejection.
    LateStatus,
    /// The interrupt does not reach the guest.
    Lose,
}

/// What goes wrong, with all that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the `ActionName` of its name")]
pub enum Action {
    Nack,
    Busy,
    Error,
    Delay { milliseconds: u64 },
    Request { size: u64 },
    Fail,
    Skip,
    Empty,
    Surprise,
    Refuse,
    LateStatus,
    Lose,
}

/// A fault makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// This cannot go wrong there.
    #[error("do: {action} is not possible on {on}; there it is one of: {possible}")]
    NotThere {
        /// The action.
        action: String,
        /// The point.
        on: String,
        /// What would be valid.
        possible: String,
    },
    /// The action needs a number that is not there, or another one has it.
    #[error("{field}: {rule}")]
    Number {
        /// The field.
        field: &'static str,
        /// What would be valid.
        rule: &'static str,
    },
}

impl Point {
    /// What can go wrong here.
    pub const fn actions(self) -> &'static [ActionName] {
        use ActionName::{
            Busy, Delay, Empty, Error, Fail, LateStatus, Lose, Nack, Refuse, Request, Skip, Surprise,
        };
        match self {
            Self::Plug | Self::Unplug | Self::UnplugAll | Self::State => &[Nack, Busy, Error, Delay, Request],
            Self::Map | Self::Slot | Self::Discard => &[Fail, Skip],
            Self::Resources => &[Empty],
            Self::Remove => &[Surprise],
            Self::Eject => &[Refuse, Delay, LateStatus],
            Self::Interrupt => &[Lose],
        }
    }
}

/// A name as it is written.
fn word(name: impl Serialize) -> String {
    serde_json::to_value(name).ok().and_then(|value| Some(value.as_str()?.to_owned())).unwrap_or_default()
}

impl Fault {
    /// Whether it makes sense.
    ///
    /// # Errors
    /// [`FaultError`] says what would.
    pub fn check(&self) -> Result<(), FaultError> {
        self.parse().map(drop)
    }

    /// What goes wrong, when this makes sense.
    /// What it means.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn parse(&self) -> Result<Action, FaultError> {
        let possible = self.on.actions();
        if !possible.contains(&self.action) {
            let possible = possible.iter().map(word).collect::<Vec<_>>().join(", ");
            return Err(FaultError::NotThere { action: word(self.action), on: word(self.on), possible });
        }
        let counts = [("nth", self.nth), ("times", self.times)];
        if let Some((field, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(FaultError::Number { field, rule: "must be at least 1" });
        }
        let (is_delay, is_request) = (self.action == ActionName::Delay, self.action == ActionName::Request);
        if is_delay != self.milliseconds.is_some() {
            return Err(FaultError::Number {
                field: "milliseconds",
                rule: "goes with do: delay, and with nothing else",
            });
        }
        if is_request != self.size.is_some() {
            return Err(FaultError::Number {
                field: "size",
                rule: "goes with do: request, and with nothing else",
            });
        }
        Ok(self.action())
    }

    fn action(&self) -> Action {
        match self.action {
            ActionName::Nack => Action::Nack,
            ActionName::Busy => Action::Busy,
            ActionName::Error => Action::Error,
            ActionName::Delay => Action::Delay { milliseconds: self.milliseconds.unwrap_or_default() },
            ActionName::Request => Action::Request { size: self.size.unwrap_or_default() },
            ActionName::Fail => Action::Fail,
            ActionName::Skip => Action::Skip,
            ActionName::Empty => Action::Empty,
            ActionName::Surprise => Action::Surprise,
            ActionName::Refuse => Action::Refuse,
            ActionName::LateStatus => Action::LateStatus,
            ActionName::Lose => Action::Lose,
        }
    }
}
