//! The transport's registers and rules, with a device that returns every chain.

use proptest::prelude::*;
use virtio_bindings::bindings::virtio_mmio::*;

use super::*;
use crate::bus::BusDevice;
use crate::state::StateError;
use crate::virtio::testing::{Buffer, Driver, EVENT_INDEX, STEPS, VERSION_1};

mod queues;

const FEATURE: u64 = 1 << 3;
const REQUIRED: u64 = 1 << 5;
const FEATURES: u64 = VERSION_1 | REQUIRED;

/// Returns every chain with the number of bytes it could write.
#[derive(Debug)]
struct Echo {
    sizes: [u16; 2],
    resets: u32,
    system_resets: u32,
}

impl Echo {
    const fn with_queue_of(size: u16) -> Self {
        Self { sizes: [size, 8], resets: 0, system_resets: 0 }
    }
}

impl Default for Echo {
    fn default() -> Self {
        Self::with_queue_of(16)
    }
}

impl VirtioDevice for Echo {
    const DEVICE_ID: u32 = 42;
    type State = u32;

    fn state(&self) -> u32 {
        self.resets
    }

    fn restore(&mut self, state: &u32) -> Result<(), StateError> {
        StateError::unless(*state < 100, || "too often".to_owned())?;
        self.resets = *state;
        Ok(())
    }

    fn queue_sizes(&self) -> &[u16] {
        &self.sizes
    }

    fn features(&self) -> u64 {
        FEATURE | REQUIRED
    }

    fn required_features(&self) -> u64 {
        REQUIRED
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        crate::register::copy(&[1, 2, 3, 4, 5, 6], offset, data);
    }

    fn process(&mut self, index: usize, queues: &mut Queues<'_>) -> Result<(), Broken> {
        let memory = queues.memory();
        while let Some(chain) = queues.pop(index, &memory)? {
            let length = chain.writable().iter().map(|buffer| buffer.length).sum();
            queues.complete(index, &memory, chain.head(), length)?;
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.resets += 1;
    }

    fn system_reset(&mut self) {
        self.system_resets += 1;
    }
}

fn started() -> Driver<Echo> {
    Driver::started(Echo::default(), FEATURES)
}

#[test]
fn it_says_what_it_is() {
    let mut driver = Driver::new(Echo::default());
    for (register, expected) in [
        (VIRTIO_MMIO_MAGIC_VALUE, u32::from_le_bytes(*b"virt")),
        (VIRTIO_MMIO_VERSION, 2),
        (VIRTIO_MMIO_DEVICE_ID, 42),
        (VIRTIO_MMIO_STATUS, 0),
        (VIRTIO_MMIO_QUEUE_NUM_MAX, 16),
        (VIRTIO_MMIO_SHM_LEN_LOW, u32::MAX),
        (VIRTIO_MMIO_SHM_BASE_HIGH, u32::MAX),
        (VIRTIO_MMIO_QUEUE_DESC_LOW, 0),
        (0xc0, 0),
    ] {
        assert_eq!(driver.read(register), expected, "register {register:#x}");
    }
    driver.write(VIRTIO_MMIO_QUEUE_SEL, 2);
    assert_eq!(driver.read(VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
}

#[test]
fn features_are_offered_in_two_halves() {
    let mut driver = Driver::new(Echo::default());
    for (selector, expected) in [(0, FEATURE | REQUIRED | EVENT_INDEX), (1, VERSION_1 >> 32), (2, 0)] {
        driver.write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, selector);
        assert_eq!(u64::from(driver.read(VIRTIO_MMIO_DEVICE_FEATURES)), expected);
    }
}

#[test]
fn features_are_accepted_only_when_offered_and_sufficient() {
    for (features, accepted) in [
        (FEATURES, true),
        (FEATURES | FEATURE | EVENT_INDEX, true),
        (REQUIRED, false),
        (VERSION_1, false),
        (FEATURES | 1 << 4, false),
        (FEATURES | 1 << 63, false),
    ] {
        let mut driver = Driver::new(Echo::default());
        driver.negotiate(features);
        let status = driver.read(VIRTIO_MMIO_STATUS);
        assert_eq!(status == STEPS[2], accepted, "{features:#x}: status {status:#x}");
    }
}

#[test]
fn features_are_fixed_once_they_are_accepted() {
    let mut driver = Driver::new(Echo::default());
    driver.negotiate(FEATURES);
    driver.write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
    driver.write(VIRTIO_MMIO_DRIVER_FEATURES, 0);
    assert_eq!(driver.transport.negotiation.driver_features, FEATURES);
}

#[test]
fn the_status_advances_step_by_step_and_never_backwards() {
    let mut driver = Driver::new(Echo::default());
    driver.write(VIRTIO_MMIO_STATUS, DRIVER_OK | FEATURES_OK);
    assert_eq!(driver.read(VIRTIO_MMIO_STATUS), 0);
    let mut driver = started();
    driver.write(VIRTIO_MMIO_STATUS, ACKNOWLEDGE);
    assert_eq!(driver.read(VIRTIO_MMIO_STATUS), STEPS[3]);
    driver.write(VIRTIO_MMIO_STATUS, STEPS[3] | FAILED | NEEDS_RESET);
    assert_eq!(driver.read(VIRTIO_MMIO_STATUS), STEPS[3] | FAILED);
}

#[test]
fn a_change_of_the_configuration_interrupts_a_running_driver_only() {
    let mut driver = Driver::new(Echo::default());
    driver.transport.with_device(|_, queues| queues.config_changed());
    assert_eq!((driver.read(VIRTIO_MMIO_CONFIG_GENERATION), driver.interrupts()), (1, 0));
    driver.start(FEATURES);
    driver.transport.with_device(|_, queues| queues.config_changed());
    assert_eq!(
        (driver.read(VIRTIO_MMIO_CONFIG_GENERATION), driver.interrupts()),
        (2, VIRTIO_MMIO_INT_CONFIG)
    );
}

#[test]
fn resets_lower_the_line_and_reach_the_device() {
    let mut driver = started();
    driver.add(0, &[Buffer::In(1)]);
    driver.notify(0);
    assert!(driver.line.is_high());
    driver.write(VIRTIO_MMIO_STATUS, 0);
    assert!(!driver.line.is_high());
    assert_eq!(driver.read(VIRTIO_MMIO_STATUS), 0);
    driver.transport.system_reset();
    assert_eq!((driver.transport.device().resets, driver.transport.device().system_resets), (2, 1));
}

#[test]
fn the_configuration_space_is_read_in_any_width() {
    let mut driver = Driver::new(Echo::default());
    for (offset, expected) in
        [(0x100, vec![1]), (0x102, vec![3, 4]), (0x104, vec![5, 6, 0, 0]), (0x1000, vec![0; 8])]
    {
        let mut data = vec![0xee; expected.len()];
        driver.transport.read(offset, &mut data);
        assert_eq!(data, expected);
    }
}

proptest! {
    #[test]
    fn no_sequence_of_accesses_makes_it_panic(
        accesses in prop::collection::vec(
            (any::<bool>(), 0_u64..0x120, prop::sample::select(vec![1_usize, 2, 4, 8]), prop_oneof![0_u32..20, any::<u32>()]),
            1..200,
        )
    ) {
        let mut driver = Driver::new(Echo::default());
        driver.negotiate(FEATURES);
        for (is_write, offset, width, value) in accesses {
            let mut data = u64::from(value).to_le_bytes();
            // Half of all accesses are as drivers make them.
            let (offset, width) = if value % 2 == 0 { (offset & !3, 4) } else { (offset, width) };
            if is_write {
                driver.transport.write(offset, &data[..width]);
            } else {
                driver.transport.read(offset, &mut data[..width]);
            }
            let interrupts = driver.read(VIRTIO_MMIO_INTERRUPT_STATUS);
            prop_assert_eq!(driver.line.is_high(), interrupts != 0);
        }
    }
}
