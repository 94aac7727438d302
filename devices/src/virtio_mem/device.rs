//! virtio-mem on its transport: the configuration space and the queue of requests.

use virtio_bindings::virtio_ids::VIRTIO_ID_MEM;
use zerocopy::IntoBytes;

use super::abi::{self, Config};
use super::request::{Received, Response};
use super::{VirtioMem, VirtioMemError};
use crate::memory::MemoryStatus;
use crate::register;
use crate::virtio::device::VirtioDevice;
use crate::virtio::mmio::VirtioMmio;
use crate::virtio::queue::{Broken, Queues};

/// The only queue, "guest-request", and its size. Linux has one request in flight.
const QUEUE: usize = 0;
const QUEUE_SIZE: u16 = 64;

impl VirtioMem {
    fn serve(&mut self, received: &Received) -> Option<Response> {
        received.reply_to.as_ref()?;
        Some(received.request.map_or(Response::Error, |request| self.answer(request)))
    }

    fn config_space(&self) -> Config {
        Config {
            block_size: self.block_size.into(),
            node_id: self.node.into(),
            padding: [0; 6],
            addr: self.region.start.into(),
            region_size: self.region.size.into(),
            usable_region_size: self.usable_size.into(),
            plugged_size: self.plugged_size().into(),
            requested_size: self.requested_size.into(),
        }
    }
}

impl VirtioDevice for VirtioMem {
    const DEVICE_ID: u32 = VIRTIO_ID_MEM;

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE]
    }

    fn features(&self) -> u64 {
        abi::F_ACPI_PXM | abi::F_UNPLUGGED_INACCESSIBLE
    }

    fn required_features(&self) -> u64 {
        abi::F_UNPLUGGED_INACCESSIBLE
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        register::copy(self.config_space().as_bytes(), offset, data);
    }

    fn process(&mut self, _index: usize, queues: &mut Queues<'_>) -> Result<(), Broken> {
        // One round through the queue at most: a driver that adds requests without end is not to
        // keep the host away from the device.
        for _ in 0..QUEUE_SIZE {
            // No view of guest memory is held while the request is carried out, because it would
            // keep alive what is unplugged.
            let received = {
                let memory = queues.memory();
                let Some(chain) = queues.pop(QUEUE, &memory)? else { return Ok(()) };
                Received::new(chain, &memory)
            };
            let response = self.serve(&received);
            if matches!(response, None | Some(Response::Error)) && self.malformed.first() {
                tracing::warn!("{}: the driver made a wrong request: {:x?}", self.id, received.request);
            }
            let memory = queues.memory();
            let reply = received.reply_to.zip(response);
            let length = reply.map_or(0, |(reply_to, response)| reply_to.write(&memory, response));
            queues.complete(QUEUE, &memory, received.head, length)?;
        }
        Ok(())
    }

    fn reset(&mut self) {}

    fn system_reset(&mut self) {
        let had = self.plugged.count() != 0;
        self.granules.reset();
        self.plugged.clear();
        self.usable_size = self.wanted_usable_size();
        if had {
            self.plugged_size_changed();
        }
    }
}

impl VirtioMmio<VirtioMem> {
    /// Sets the size that the driver is to reach, and tells it; also when it is the same size as
    /// before, so that a driver that waits tries again.
    ///
    /// # Errors
    /// [`VirtioMemError::RequestedSize`]; nothing has changed then.
    pub fn request(&mut self, size: u64) -> Result<MemoryStatus, VirtioMemError> {
        self.with_device(|device, queues| {
            let status = device.request(size)?;
            queues.config_changed();
            Ok(status)
        })
    }

    /// What the device is and does.
    pub fn status(&self) -> MemoryStatus {
        self.device().status()
    }
}
