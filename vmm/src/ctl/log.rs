//! How much the machine writes to its log.

use super::client::Method;

use super::{Failure, Talk, checked};
use crate::api::types::LogLevel;

impl Talk<'_> {
    /// Has so much written from now on, or shows how much is.
    pub(super) async fn log(&mut self, level: Option<&str>) -> Result<(), Failure> {
        let Some(level) = level else {
            return self.show("/vmm.log", |LogLevel { level }| format!("{level}\n")).await;
        };
        let body = LogLevel { level: level.to_owned() };
        checked(self.client.ask(Method::PUT, "/vmm.log", Some(&body)).await?).map(drop)
    }
}
