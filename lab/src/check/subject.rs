//! Who is held against the oracle: a machine with its guest, or another model.

use dimmer_agent::report::Layout;

use crate::predict::Prediction;
use crate::real::{Real, RealError};
use crate::scenario::{Action, Effect, Requests};
use crate::verdict::report;

/// What a scenario is carried out on.
pub trait Subject {
    /// Why a step could not be carried out, or its end not be seen.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Carries out one step; `predicted` says what is waited for.
    ///
    /// # Errors
    /// When nothing can be said about what came of it.
    fn apply(&mut self, action: &Action<'_>, predicted: &Effect) -> Result<Effect, Self::Error>;

    /// The layout once it has settled, with the memory groups.
    ///
    /// # Errors
    /// When there is none.
    fn layout(&mut self) -> Result<Layout, Self::Error>;

    /// What the drivers of the virtio-mem devices have asked for since this was last asked, by device.
    ///
    /// # Errors
    /// When that is not known.
    fn requests(&mut self) -> Result<Requests, Self::Error>;

    /// Bytes that the machine's virtio-mem device has plugged; `None` when it has none, or several.
    ///
    /// # Errors
    /// When that is not known.
    fn plugged(&mut self) -> Result<Option<u64>, Self::Error>;

    /// What the guest's kernel has logged since this was last asked, a line each; texts that are `wanted` are waited for.
    ///
    /// # Errors
    /// When that is not known.
    fn log(&mut self, wanted: &[String]) -> Result<Vec<String>, Self::Error>;

    /// Whether the guest, which does not answer any more, has run out of memory.
    fn ran_out_of_memory(&self) -> bool;
}

/// A subject of which there can be copies.
pub trait Forks: Subject + Sized {
    /// From now on it stands still, and is there for its children.
    ///
    /// # Errors
    /// When it does not.
    fn stand_still(&mut self) -> Result<(), Self::Error>;

    /// Another one that goes on from where it is.
    ///
    /// # Errors
    /// When there can be none.
    fn child(&self) -> Result<Self, Self::Error>;
}

impl Forks for Real {
    fn stand_still(&mut self) -> Result<(), RealError> {
        Self::stand_still(self)
    }

    fn child(&self) -> Result<Self, RealError> {
        Self::child(self)
    }
}

impl Subject for Real {
    type Error = RealError;

    fn apply(&mut self, action: &Action<'_>, predicted: &Effect) -> Result<Effect, RealError> {
        Self::apply(self, action, predicted)
    }

    fn layout(&mut self) -> Result<Layout, RealError> {
        Self::layout(self)
    }

    fn requests(&mut self) -> Result<Requests, RealError> {
        self.new_requests()
    }

    fn plugged(&mut self) -> Result<Option<u64>, RealError> {
        self.plugged_by_the_only_device()
    }

    fn log(&mut self, wanted: &[String]) -> Result<Vec<String>, RealError> {
        self.new_log(wanted)
    }

    fn ran_out_of_memory(&self) -> bool {
        // Said by the kernel when it has nobody left to kill (`out_of_memory`, mm/oom_kill.c), and for each that it kills.
        let console = self.vm.console();
        ["deadlocked on memory", "Out of memory"].iter().any(|words| console.contains(words))
    }
}

/// A model could not carry out a step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the other model: {0}")]
pub struct ModelError(pub String);

impl Forks for Prediction {
    fn stand_still(&mut self) -> Result<(), ModelError> {
        Ok(())
    }

    fn child(&self) -> Result<Self, ModelError> {
        Ok(self.clone())
    }
}

/// A model in the guest's place: no machine, no time.
impl Subject for Prediction {
    type Error = ModelError;

    fn apply(&mut self, action: &Action<'_>, _: &Effect) -> Result<Effect, ModelError> {
        Self::apply(self, action).map_err(ModelError)
    }

    fn layout(&mut self) -> Result<Layout, ModelError> {
        Ok(report::of(&self.linux))
    }

    fn requests(&mut self) -> Result<Requests, ModelError> {
        Ok(Self::requests(self))
    }

    fn plugged(&mut self) -> Result<Option<u64>, ModelError> {
        Ok(self.plugged_by_the_only_device())
    }

    fn log(&mut self, _: &[String]) -> Result<Vec<String>, ModelError> {
        Err(ModelError("a model has no log".to_owned()))
    }

    fn ran_out_of_memory(&self) -> bool {
        false
    }
}
