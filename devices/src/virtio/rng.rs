//! The virtio entropy device (virtio 1.2, section 5.4): random bytes for whoever asks.
//!
//! Where the bytes come from is the host's affair. How many a driver gets in one pass is bounded as for any device, and a chain
//! with more room than a pass has left is answered with what there is.

use std::fmt;

use virtio_bindings::virtio_ids::VIRTIO_ID_RNG;

use super::device::VirtioDevice;
use super::queue::{Broken, Queues};
use crate::state::StateError;

/// The only queue.
const REQUESTS: usize = 0;
/// Bytes that a chain is given, at most: Linux asks for 64.
const PIECE: usize = 4096;

/// Fills all of a slice with random bytes; `false` when the host has none.
pub type Source = Box<dyn FnMut(&mut [u8]) -> bool + Send>;

/// The device.
pub struct Rng {
    source: Source,
    wake: Box<dyn Fn() + Send>,
}

impl Rng {
    /// A device with bytes from `source`. `wake` is called, with the device's lock held, when a pass left something for
    /// [`go_on`](super::mmio::VirtioMmio::go_on).
    pub fn new(source: Source, wake: Box<dyn Fn() + Send>) -> Self {
        Self { source, wake }
    }

    fn answer(&mut self, queues: &mut Queues<'_>) -> Result<(), Broken> {
        let memory = queues.memory();
        while let Some(chain) = queues.pop(REQUESTS, &memory)? {
            let mut bytes = vec![0; usize::try_from(chain.writable_length()).unwrap_or(PIECE).min(PIECE)];
            // A driver that is given nothing asks again or does without, as with a source that runs dry.
            let filled = if (self.source)(&mut bytes) { &bytes[..] } else { &[] };
            let written = chain.write(&memory, filled).unwrap_or(0);
            queues.copied(written.max(1));
            let written = u32::try_from(written).expect("no more than a piece");
            queues.complete(REQUESTS, &memory, chain.head(), written)?;
        }
        if queues.is_over() {
            (self.wake)();
        }
        Ok(())
    }
}

impl VirtioDevice for Rng {
    const DEVICE_ID: u32 = VIRTIO_ID_RNG;

    type State = ();

    fn state(&self) {}

    fn restore(&mut self, (): &()) -> Result<(), StateError> {
        Ok(())
    }

    fn queue_sizes(&self) -> &[u16] {
        &[16]
    }

    fn features(&self) -> u64 {
        0
    }

    fn read_config(&self, _: u64, data: &mut [u8]) {
        data.fill(0);
    }

    fn process(&mut self, _: usize, queues: &mut Queues<'_>) -> Result<(), Broken> {
        self.answer(queues)
    }

    fn reset(&mut self) {}
}

impl fmt::Debug for Rng {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Rng").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::virtio::testing::{Buffer, Driver, VERSION_1};

    fn counting(woken: &Arc<AtomicUsize>, works: bool) -> Rng {
        let woken = woken.clone();
        let source = Box::new(move |bytes: &mut [u8]| {
            bytes.fill(7);
            works
        });
        let wake = move || {
            woken.fetch_add(1, Ordering::Relaxed);
        };
        Rng::new(source, Box::new(wake))
    }

    #[test]
    fn each_chain_is_filled_up_to_a_piece() {
        let mut driver = Driver::started(counting(&Arc::default(), true), VERSION_1);
        let (first, places) = driver.add(0, &[Buffer::In(3), Buffer::In(5)]);
        let (second, _) = driver.add(0, &[Buffer::In(1 << 20)]);
        let (third, _) = driver.add(0, &[Buffer::Out(b"no room")]);
        driver.notify(0);
        let piece = u32::try_from(PIECE).unwrap();
        assert_eq!(driver.used(0), [(first.into(), 8), (second.into(), piece), (third.into(), 0)]);
        assert_eq!(driver.bytes(places[0], 3), [7; 3]);
        assert_eq!(driver.bytes(places[1], 5), [7; 5]);
    }

    #[test]
    fn without_bytes_and_without_memory_a_chain_comes_back_empty() {
        let mut driver = Driver::started(counting(&Arc::default(), false), VERSION_1);
        let (dry, _) = driver.add(0, &[Buffer::In(8)]);
        driver.notify(0);
        assert_eq!(driver.used(0), [(dry.into(), 0)]);
        let mut driver = Driver::started(counting(&Arc::default(), true), VERSION_1);
        let (lost, _) = driver.add(0, &[Buffer::Raw(1 << 40, 8, true)]);
        driver.notify(0);
        assert_eq!(driver.used(0), [(lost.into(), 0)]);
    }
}
