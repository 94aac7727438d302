//! The rules find devices that break them.

use dimmer_devices::state::StateError;
use dimmer_devices::virtio::queue::{Broken, Queues};

use super::*;

/// A device that writes a byte at `WHERE` when it is notified, and goes on from another state than was saved.
#[derive(Debug)]
struct Bad<const WHERE: u64>(u32);

impl<const WHERE: u64> VirtioDevice for Bad<WHERE> {
    const DEVICE_ID: u32 = 4;
    type State = u32;

    fn state(&self) -> u32 {
        self.0
    }

    fn restore(&mut self, state: &u32) -> Result<(), StateError> {
        self.0 = state + 1;
        Ok(())
    }

    fn queue_sizes(&self) -> &[u16] {
        &[16]
    }

    fn features(&self) -> u64 {
        0
    }

    fn read_config(&self, _: u64, _: &mut [u8]) {}

    fn process(&mut self, _: usize, queues: &mut Queues<'_>) -> Result<(), Broken> {
        drop(queues.memory().write_slice(&[7], GuestAddress(WHERE)));
        Ok(())
    }

    fn reset(&mut self) {}
}

/// The used ring of queue 0.
const RING: u64 = 0x800;

fn started<const WHERE: u64>() -> Guest<Bad<WHERE>> {
    let mut guest = Guest::new(|| Bad::<WHERE>(0));
    guest.start(u64::MAX);
    guest.register(reg::VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    guest
}

#[test]
fn a_write_into_a_ring_is_right() {
    assert!(started::<RING>().is_live());
}

#[test]
#[should_panic(expected = "where it may not")]
fn a_write_where_no_descriptor_lets_it_is_found() {
    started::<0x1_3000>();
}

#[test]
#[should_panic(expected = "while no driver ran")]
fn a_write_without_a_driver_is_found() {
    let mut guest = Guest::new(|| Bad::<RING>(0));
    guest.watched(|guest| drop(guest.memory.memory().write_slice(&[7], GuestAddress(RING))));
}

#[test]
#[should_panic(expected = "is not marked")]
fn a_write_that_is_not_marked_is_found() {
    let mut guest = started::<RING>();
    guest.pages.watch(false);
    guest.watched(|guest| drop(guest.memory.memory().write_slice(&[8], GuestAddress(RING))));
}

#[test]
#[should_panic(expected = "a state is not what was restored")]
fn a_state_that_is_not_restored_is_found() {
    started::<RING>().moves_on();
}

#[test]
#[should_panic(expected = "the line is not as its causes say")]
fn a_line_without_a_cause_is_found() {
    let mut guest = started::<RING>();
    guest.watched(|guest| dimmer_devices::irq::IrqLine::set(&*guest.line, true));
}
