//! The queues: what comes back, what interrupts, and what breaks them.

use crate::memory_map::MemoryMap;
use virtio_bindings::bindings::virtio_ring::{VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT};
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace};

use super::*;
use crate::virtio::testing::{MEMORY, rings};

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
    let breaks: [Break; 5] = [
        |driver| driver.make_available(0, 16),
        |driver| driver.add_descriptors(0, &[(0x1000, 16, VRING_DESC_F_INDIRECT)]),
        // Each names the next one, the last one the first.
        |driver| driver.add_descriptors(0, &[(0x1000, 1, VRING_DESC_F_NEXT); 16]),
        |driver| {
            let index = GuestAddress(rings(0) + 0x1002);
            driver.memory.memory().write_obj(1000_u16, index).unwrap();
        },
        |driver| {
            let elsewhere = MemoryMap::from_ranges(&[(GuestAddress(1 << 40), 0x1000)]).unwrap();
            driver.memory.lock().unwrap().replace(elsewhere);
        },
    ];
    for break_it in breaks {
        let mut driver = started();
        let memory = MemoryMap::clone(&driver.memory.memory());
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
    let rest = MemoryMap::from_ranges(&[(GuestAddress(0), 0x5000)]).unwrap();
    rest.write_obj(1_u16, GuestAddress(0x4ffe)).unwrap();
    driver.memory.lock().unwrap().replace(rest);
    driver.notify(0);
    assert_eq!(driver.read(VIRTIO_MMIO_STATUS), STEPS[3] | NEEDS_RESET);
}

#[test]
fn a_pass_takes_no_more_than_its_budget_and_the_next_one_goes_on() {
    let mut driver = Driver::started(Echo::with_queue_of(128), FEATURES);
    // 128 chains, all of them the same 128 descriptors.
    driver.add_descriptors(0, &[(0x1000, 1, VRING_DESC_F_NEXT); 127]);
    (1..128).for_each(|_| driver.make_available(0, 0));
    driver.notify(0);
    let most = Budget::PASS.descriptors / 128;
    assert_eq!(driver.used(0).len(), most);
    driver.notify(0);
    assert_eq!(driver.used(0).len(), most);
    let mut short = Driver::started(Echo::with_queue_of(128), FEATURES);
    (0..128).for_each(|_| drop(short.add(0, &[Buffer::In(1)])));
    short.notify(0);
    assert_eq!(short.used(0).len(), Budget::PASS.chains);
}
