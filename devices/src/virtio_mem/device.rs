//! virtio-mem on its transport: the configuration space and the queue of requests.

use std::time::Duration;

use virtio_bindings::virtio_ids::VIRTIO_ID_MEM;
use zerocopy::IntoBytes;

use super::abi::{self, Config};
use super::held::Fate;
use super::request::{Received, ReplyTo, Response};
use super::{VirtioMem, VirtioMemError, VirtioMemState};
use crate::alarm::Purpose;
use crate::fault::{Action, Point};
use crate::memory::MemoryStatus;
use crate::register;
use crate::state::StateError;
use crate::virtio::device::VirtioDevice;
use crate::virtio::mmio::VirtioMmio;
use crate::virtio::queue::{Broken, Queues};

/// The only queue, "guest-request", and its size. Linux has one request in flight.
const QUEUE: usize = 0;
const QUEUE_SIZE: u16 = 64;

impl VirtioMem {
    /// Sets the size that the driver is to reach and tells it, unless a fault loses the interrupt.
    pub(super) fn ask(&mut self, size: u64, queues: &mut Queues<'_>) -> Result<MemoryStatus, VirtioMemError> {
        let status = self.request(size)?;
        let faults = &self.outside.faults;
        if queues.is_running(QUEUE) && faults.hit(&self.id, Point::Interrupt) == Some(Action::Lose) {
            queues.config_differs();
        } else {
            queues.config_changed();
        }
        Ok(status)
    }

    /// Takes requests from the queue until it is empty, the pass is over, or one is held back.
    fn take_all(&mut self, queues: &mut Queues<'_>) -> Result<(), Broken> {
        while self.held.is_none() {
            // No view of guest memory is held while the request is carried out, because it would
            // keep alive what is unplugged.
            let received = {
                let memory = queues.memory();
                let Some(chain) = queues.pop(QUEUE, &memory)? else { break };
                Received::new(&chain, &memory)
            };
            match self.expose(received, queues) {
                Fate::Carried(received) => self.carry_out(received, queues)?,
                Fate::Answered(received, response) => self.complete(received, Some(response), queues)?,
                Fate::Held => {}
            }
        }
        if queues.is_over() {
            self.outside.alarm.after(Duration::ZERO, &self.id, Purpose::Queue);
        }
        Ok(())
    }

    fn carry_out(&mut self, received: Received, queues: &mut Queues<'_>) -> Result<(), Broken> {
        let before = self.config_space();
        let answer = |_: &ReplyTo| received.request.map_or(Response::Error, |request| self.answer(request));
        let response = received.reply_to.as_ref().map(answer);
        if matches!(response, None | Some(Response::Error)) && self.wrong.first() {
            tracing::warn!("{}: the driver made a wrong request: {:x?}", self.id, received.request);
        }
        // The driver is not told of what it did itself (virtio 1.2, section 5.15.4.2).
        if self.config_space() != before {
            queues.config_differs();
        }
        self.complete(received, response, queues)
    }

    fn complete(
        &mut self,
        received: Received,
        response: Option<Response>,
        queues: &mut Queues<'_>,
    ) -> Result<(), Broken> {
        self.note(received.request, response);
        let memory = queues.memory();
        let reply = received.reply_to.zip(response);
        let length = reply.map_or(0, |(reply_to, response)| reply_to.write(&memory, response));
        queues.complete(QUEUE, &memory, received.head, length)
    }

    /// An alarm has rung: answers the request that was held back and goes on with the queue.
    fn carry_on(&mut self, queues: &mut Queues<'_>) -> Result<(), Broken> {
        if !queues.is_running(QUEUE) {
            self.drop_held();
            return Ok(());
        }
        if let Some(received) = self.release() {
            self.carry_out(received, queues)?;
        }
        self.take_all(queues)
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
    type State = VirtioMemState;

    fn state(&self) -> VirtioMemState {
        self.saved()
    }

    fn restore(&mut self, state: &VirtioMemState) -> Result<(), StateError> {
        self.go_on_from(state)
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE]
    }

    fn features(&self) -> u64 {
        abi::F_ACPI_PXM | abi::F_UNPLUGGED_INACCESSIBLE
    }

    fn required_features(&self) -> u64 {
        if self.legacy { 0 } else { abi::F_UNPLUGGED_INACCESSIBLE }
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        register::copy(self.config_space().as_bytes(), offset, data);
    }

    fn process(&mut self, _index: usize, queues: &mut Queues<'_>) -> Result<(), Broken> {
        self.arrive();
        self.take_all(queues)
    }

    fn reset(&mut self) {
        self.drop_held();
    }

    fn system_reset(&mut self) {
        self.drop_held();
        self.start_over();
    }
}

impl VirtioMmio<VirtioMem> {
    /// Sets the size that the driver is to reach, and tells it; also when it is the same size as
    /// before, so that a driver that waits tries again.
    ///
    /// # Errors
    /// [`VirtioMemError`]; nothing has changed then.
    pub fn request(&mut self, size: u64) -> Result<MemoryStatus, VirtioMemError> {
        self.with_device(|device, queues| device.ask(size, queues))
    }

    /// Whether the guest's driver does not promise to leave unplugged memory alone, which the device wants of it.
    pub const fn refuses_the_driver(&self) -> bool {
        self.lacking() & abi::F_UNPLUGGED_INACCESSIBLE != 0
    }

    /// An alarm that the device set has rung.
    pub fn alarm(&mut self) {
        self.with_queues(VirtioMem::carry_on);
    }

    /// What the device is and does.
    pub fn status(&self) -> MemoryStatus {
        self.device().status()
    }
}
