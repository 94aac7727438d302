//! virtio (version 1.2): the transport, the queues, and the devices on them.

pub mod chain;
pub mod console;
pub mod device;
pub mod mmio;
pub mod queue;
#[cfg(test)]
pub(crate) mod testing;
