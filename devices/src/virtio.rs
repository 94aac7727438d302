//! virtio (version 1.2): the transport, the queues, and the devices on them.

pub mod balloon;
pub mod block;
pub mod chain;
pub mod console;
pub mod device;
pub mod mmio;
pub mod net;
pub mod pmem;
pub mod queue;
pub mod rng;
#[cfg(test)]
pub(crate) mod testing;
pub mod vsock;
