//! The API over a real UNIX socket, with a fake machine that answers the mailbox.

mod changes;
mod copies;
mod document;
mod endpoints;
pub(crate) mod fake;
mod raw;
pub(crate) mod records;
mod requests;
mod server;
mod streams;
