//! Requests of a driver, and what is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use virtio_bindings::bindings::virtio_mmio as reg;

use super::*;
use crate::virtio::testing::{Buffer, Driver, EVENT_INDEX, VERSION_1};

const REGION: GuestRange = GuestRange::new(5 << 30, 6 << 20);

fn pmem() -> (Pmem, Arc<AtomicUsize>) {
    let woken = Arc::<AtomicUsize>::default();
    let bell = woken.clone();
    let wake = move || {
        bell.fetch_add(1, Ordering::Relaxed);
    };
    (Pmem::new(REGION, Box::new(wake)), woken)
}

fn started() -> Driver<Pmem> {
    Driver::started(pmem().0, VERSION_1)
}

#[test]
fn a_flush_is_answered_as_it_went() {
    let (device, woken) = pmem();
    let mut driver = Driver::started(device, VERSION_1);
    for (done, answer) in [(true, [0; 4]), (false, [0xff; 4])] {
        let before = woken.load(Ordering::Relaxed);
        let (head, places) = driver.add(0, &[Buffer::Out(&[0; 4]), Buffer::In(4)]);
        driver.notify(0);
        assert_eq!(woken.load(Ordering::Relaxed), before + 1);
        let job = driver.transport.take().unwrap();
        assert_eq!(job.work, Work::Flush);
        assert_eq!(driver.used(0), [], "nothing is said before it is done");
        driver.transport.answer(&job, done);
        assert_eq!(driver.used(0), [(head.into(), 4)]);
        assert_eq!(driver.bytes(places[1], 4), answer);
    }
    assert!(driver.transport.take().is_none());
}

#[test]
fn the_driver_reads_where_the_memory_lies_and_is_offered_nothing() {
    let mut driver = Driver::new(pmem().0);
    let words = [0, 4, 8, 12, 16].map(|offset| driver.read(reg::VIRTIO_MMIO_CONFIG + offset));
    assert_eq!(words, [0x4000_0000, 1, 6 << 20, 0, 0]);
    assert_eq!(driver.read(reg::VIRTIO_MMIO_DEVICE_ID), 27);
    assert_eq!(driver.transport.device().features(), 0);
    driver.start(VERSION_1 | EVENT_INDEX);
}

#[test]
fn what_is_no_request_is_refused_and_a_short_answer_is_none() {
    let mut driver = started();
    for (buffers, written) in [
        (vec![Buffer::Out(&[1, 0, 0, 0]), Buffer::In(4)], 4),
        (vec![Buffer::Out(&[0, 0, 0, 0x80]), Buffer::In(64)], 4),
        (vec![Buffer::Out(&[0; 3]), Buffer::In(4)], 4),
        (vec![Buffer::In(4)], 4),
        (vec![Buffer::Out(&[0; 4]), Buffer::In(3)], 0),
        (vec![Buffer::Out(&[0; 4])], 0),
        (vec![Buffer::Raw(1 << 40, 4, false), Buffer::In(4)], 4),
        (vec![Buffer::Out(&[1; 4]), Buffer::Raw(1 << 40, 4, true)], 0),
    ] {
        let (head, places) = driver.add(0, &buffers);
        driver.notify(0);
        let job = driver.transport.take().expect("it is there");
        assert_eq!(job.work, Work::Refuse, "{buffers:?}");
        driver.transport.answer(&job, true);
        assert_eq!(driver.used(0), [(head.into(), written)], "{buffers:?}");
        if written == 4 {
            assert_eq!(driver.bytes(*places.last().unwrap(), 4), [0xff; 4], "{buffers:?}");
        }
    }
}

#[test]
fn a_flush_whose_answer_has_no_memory_comes_back_without_one() {
    let mut driver = started();
    let (head, _) = driver.add(0, &[Buffer::Out(&[0; 4]), Buffer::Raw(1 << 40, 4, true)]);
    driver.notify(0);
    let job = driver.transport.take().unwrap();
    driver.transport.answer(&job, true);
    assert_eq!(driver.used(0), [(head.into(), 0)]);
}

#[test]
fn the_next_driver_hears_nothing_of_the_last_ones() {
    for whole in [false, true] {
        let mut driver = started();
        driver.add(0, &[Buffer::Out(&[0; 4]), Buffer::In(4)]);
        driver.notify(0);
        let job = driver.transport.take().unwrap();
        if whole {
            driver.transport.system_reset();
        }
        driver.start(VERSION_1);
        driver.transport.answer(&job, true);
        assert_eq!(driver.used(0), []);
    }
}

#[test]
fn a_state_is_of_the_same_memory_alone() {
    let driver = started();
    let state = driver.transport.state();
    let mut same = Driver::new(pmem().0);
    same.transport.restore(&state).unwrap();
    assert_eq!(same.transport.state(), state);
    let other = GuestRange::new(REGION.start, REGION.size + (2 << 20));
    let mut other = Driver::new(Pmem::new(other, Box::new(|| {})));
    let error = other.transport.restore(&state).unwrap_err().to_string();
    assert_eq!(
        error,
        "persistent memory is 0x800000 bytes at 0x140000000, and was 0x600000 bytes at 0x140000000"
    );
}

proptest! {
    #[test]
    fn any_chain_is_answered_once(
        out in prop::collection::vec(any::<u8>(), 0..12),
        room in 0..12_u32,
        wild in any::<u64>(),
        done in any::<bool>(),
    ) {
        let mut driver = started();
        let (head, _) = driver.add(0, &[Buffer::Out(&out), Buffer::In(room), Buffer::Raw(wild, 4, true)]);
        driver.notify(0);
        let job = driver.transport.take().unwrap();
        driver.transport.answer(&job, done);
        let used = driver.used(0);
        prop_assert_eq!(used.len(), 1);
        prop_assert_eq!(used[0].0, u32::from(head));
        prop_assert!(used[0].1 <= 4);
    }
}
