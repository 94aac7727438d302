//! The API over a real UNIX socket, with a fake machine that answers the mailbox.

mod changes;
mod clients;
mod cloud_hypervisor;
mod copies;
mod document;
mod endpoints;
pub(crate) mod fake;
mod firecracker;
mod metrics;
mod raw;
pub(crate) mod records;
mod requests;
mod server;
mod streams;
mod tester;
