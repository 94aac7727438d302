//! The transport's registers and rules, with a device that returns every chain.

use proptest::prelude::*;
use virtio_bindings::bindings::virtio_mmio::*;
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace, GuestMemoryMmap};

use super::*;
use crate::bus::BusDevice;
use crate::virtio::testing::{Buffer, Driver, EVENT_INDEX, MEMORY, STEPS, VERSION_1, rings};

const FEATURE: u64 = 1 << 3;
const REQUIRED: u64 = 1 << 5;
const FEATURES: u64 = VERSION_1 | REQUIRED;

/// Returns every chain with the number of bytes it could write.
#[derive(Debug, Default)]
struct Echo {
    resets: u32,
    system_resets: u32,
}

impl VirtioDevice for Echo {
    const DEVICE_ID: u32 = 42;

    fn queue_sizes(&self) -> &[u16] {
        &[16, 8]
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
            let length = chain.clone().writable().map(|descriptor| descriptor.len()).sum();
            queues.complete(index, &memory, chain.head_index(), length)?;
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
fn a_chain_comes_back_with_an_interrupt() {
    let mut driver = started();
    let (head, _) = driver.add(1, &[Buffer::Out(b"x"), Buffer::In(7), Buffer::In(3)]);
    driver.notify(1);
    assert_eq!(driver.used(1), [(u32::from(head), 10)]);
    assert_eq!(driver.interrupts(), VIRTIO_MMIO_INT_VRING);
    driver.notify(1);
    assert_eq!(driver.interrupts(), 0);
}

#[test]
fn queues_go_round() {
    for features in [FEATURES, FEATURES | EVENT_INDEX] {
        let mut driver = Driver::started(Echo::default(), features);
        for round in 0..100_000_u32 {
            let (head, _) = driver.add(0, &[Buffer::Raw(0x1000, round, true)]);
            driver.notify(0);
            assert_eq!(driver.used(0), [(u32::from(head), round)]);
            assert_eq!(driver.interrupts(), VIRTIO_MMIO_INT_VRING);
        }
    }
}

#[test]
fn chains_from_before_the_start_are_found() {
    let mut driver = Driver::new(Echo::default());
    driver.negotiate(FEATURES);
    driver.set_up_queue(0);
    driver.add(0, &[Buffer::In(1)]);
    driver.notify(0);
    assert_eq!(driver.used(0), []);
    driver.write(VIRTIO_MMIO_STATUS, STEPS[3]);
    assert_eq!(driver.used(0), [(0, 1)]);
}

#[test]
fn a_driver_that_wants_no_interrupt_gets_none() {
    let mut driver = started();
    driver.memory.memory().write_obj(1_u16, GuestAddress(rings(0) + 0x1000)).unwrap();
    driver.add(0, &[Buffer::In(1)]);
    driver.notify(0);
    assert_eq!((driver.used(0).len(), driver.interrupts()), (1, 0));
}

#[test]
fn with_event_indexes_both_sides_say_when_they_want_to_hear() {
    let mut driver = Driver::started(Echo::default(), FEATURES | EVENT_INDEX);
    driver.add(0, &[Buffer::In(1)]);
    driver.notify(0);
    assert_eq!(driver.wants_notification_at(0), 1);
    assert_eq!(driver.interrupts(), VIRTIO_MMIO_INT_VRING);
    // The driver has not moved its used_event, so it has not asked for another interrupt.
    driver.add(0, &[Buffer::In(1)]);
    driver.notify(0);
    assert_eq!(driver.interrupts(), 0);
    assert_eq!(driver.used(0).len(), 2);
}

#[test]
fn a_queue_cannot_be_moved_while_it_is_ready() {
    let mut driver = started();
    driver.write(VIRTIO_MMIO_QUEUE_SEL, 0);
    let before = driver.transport.queues[0].place;
    for register in [VIRTIO_MMIO_QUEUE_NUM, VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_MMIO_QUEUE_USED_HIGH] {
        driver.write(register, 4);
    }
    assert_eq!(driver.transport.queues[0].place, before);
    driver.write(VIRTIO_MMIO_QUEUE_READY, 0);
    driver.write(VIRTIO_MMIO_QUEUE_NUM, 4);
    assert_eq!(driver.transport.queues[0].place.size, 4);
    driver.add(0, &[Buffer::In(1)]);
    driver.notify(0);
    assert_eq!(driver.used(0), [], "a stopped queue is not served");
}

#[test]
fn queues_that_cannot_be_do_not_become_ready() {
    for (register, value) in [
        (VIRTIO_MMIO_QUEUE_NUM, 0),
        (VIRTIO_MMIO_QUEUE_NUM, 3),
        (VIRTIO_MMIO_QUEUE_NUM, 32),
        (VIRTIO_MMIO_QUEUE_NUM, 0x1_0010),
        (VIRTIO_MMIO_QUEUE_DESC_LOW, 8),
        (VIRTIO_MMIO_QUEUE_DESC_HIGH, u32::MAX),
        (VIRTIO_MMIO_QUEUE_AVAIL_LOW, 1),
        (VIRTIO_MMIO_QUEUE_AVAIL_LOW, 0),
        (VIRTIO_MMIO_QUEUE_USED_LOW, 2),
        (VIRTIO_MMIO_QUEUE_USED_LOW, u32::try_from(MEMORY - 64).unwrap()),
    ] {
        let mut driver = Driver::new(Echo::default());
        driver.negotiate(FEATURES);
        driver.set_up_queue(0);
        driver.write(VIRTIO_MMIO_QUEUE_READY, 0);
        driver.write(register, value);
        driver.write(VIRTIO_MMIO_QUEUE_READY, 1);
        assert_eq!(driver.read(VIRTIO_MMIO_QUEUE_READY), 0, "register {register:#x}: {value:#x}");
    }
}

#[test]
fn queues_wait_for_the_features() {
    let mut driver = Driver::new(Echo::default());
    driver.set_up_queue(0);
    assert_eq!(driver.read(VIRTIO_MMIO_QUEUE_READY), 0);
}

#[test]
fn what_breaks_a_queue_asks_for_a_reset_and_a_reset_heals() {
    type Break = fn(&mut Driver<Echo>);
    let breaks: [Break; 3] = [
        |driver| driver.make_available(0, 16),
        |driver| {
            let index = GuestAddress(rings(0) + 0x1002);
            driver.memory.memory().write_obj(1000_u16, index).unwrap();
        },
        |driver| {
            let elsewhere = GuestMemoryMmap::from_ranges(&[(GuestAddress(1 << 40), 0x1000)]).unwrap();
            driver.memory.lock().unwrap().replace(elsewhere);
        },
    ];
    for break_it in breaks {
        let mut driver = started();
        let memory = GuestMemoryMmap::clone(&driver.memory.memory());
        break_it(&mut driver);
        driver.notify(0);
        assert_eq!(driver.read(VIRTIO_MMIO_STATUS), STEPS[3] | NEEDS_RESET);
        assert_eq!(driver.interrupts(), VIRTIO_MMIO_INT_CONFIG);
        driver.memory.lock().unwrap().replace(memory);
        driver.add(1, &[Buffer::In(1)]);
        driver.notify(1);
        assert_eq!(driver.used(1), [], "nothing is served before the reset");
        driver.start(FEATURES);
        driver.add(0, &[Buffer::In(5)]);
        driver.notify(0);
        assert_eq!(driver.used(0), [(0, 5)]);
    }
}

#[test]
fn an_available_ring_that_lost_its_entries_asks_for_a_reset() {
    let mut driver = Driver::new(Echo::default());
    driver.negotiate(FEATURES);
    driver.set_up_queue(0);
    driver.write(VIRTIO_MMIO_QUEUE_READY, 0);
    // The index lies at the end of a page and the entries behind it; the page behind goes.
    driver.write(VIRTIO_MMIO_QUEUE_AVAIL_LOW, 0x4ffc);
    driver.write(VIRTIO_MMIO_QUEUE_USED_LOW, 0x3800);
    driver.write(VIRTIO_MMIO_QUEUE_READY, 1);
    driver.write(VIRTIO_MMIO_STATUS, STEPS[3]);
    let rest = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x5000)]).unwrap();
    rest.write_obj(1_u16, GuestAddress(0x4ffe)).unwrap();
    driver.memory.lock().unwrap().replace(rest);
    driver.notify(0);
    assert_eq!(driver.read(VIRTIO_MMIO_STATUS), STEPS[3] | NEEDS_RESET);
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
