//! What whoever talks to a machine from outside has of it: a way to tell it something, what happens, and what it was made as.

use std::sync::Arc;

use crate::control::{Command, Mailbox, Refusal, Reply};
use crate::events::Hub;
use crate::spec::MachineSpec;

/// See the module.
#[derive(Debug, Clone)]
pub struct Access {
    /// Where commands go.
    pub mailbox: Arc<Mailbox>,
    /// Where events come from.
    pub hub: Arc<Hub>,
    /// The machine as it was asked for.
    pub spec: Arc<MachineSpec>,
}

impl Access {
    /// Tells the machine something and waits for its answer.
    ///
    /// # Errors
    /// The machine's [`Refusal`].
    pub async fn call(&self, command: Command) -> Result<Reply, Refusal> {
        self.mailbox.call(command).await
    }
}
