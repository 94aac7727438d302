//! Requests of a driver, and what is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use virtio_bindings::bindings::virtio_mmio as reg;

use super::*;
use crate::virtio::testing::{Buffer, Driver, VERSION_1};

const SECTORS: u64 = 100;

fn config() -> BlockConfig {
    BlockConfig { sectors: SECTORS, readonly: false, serial: "d0".to_owned() }
}

fn block(config: BlockConfig) -> (Block, Arc<AtomicUsize>) {
    let woken = Arc::<AtomicUsize>::default();
    let bell = woken.clone();
    let wake = move || {
        bell.fetch_add(1, Ordering::Relaxed);
    };
    (Block::new(config, Box::new(wake)), woken)
}

fn started(config: BlockConfig) -> Driver<Block> {
    Driver::started(block(config).0, F_FLUSH | VERSION_1)
}

fn head(kind: u32, sector: u64) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &[0; 4], &sector.to_le_bytes()].concat()
}

fn cut(kind: u32, sector: u64, sectors: u32, flags: u32) -> Vec<u8> {
    [&head(kind, 0)[..], &sector.to_le_bytes(), &sectors.to_le_bytes(), &flags.to_le_bytes()].concat()
}

/// Has the device take one request, and answers it; returns what was to be done, and the status.
fn ask(driver: &mut Driver<Block>, buffers: &[Buffer<'_>], result: &Result<Vec<u8>, ()>) -> (Work, u8) {
    let (_, places) = driver.add(0, buffers);
    driver.notify(0);
    let job = driver.transport.take().expect("it is there");
    assert!(driver.transport.take().is_none());
    driver.transport.answer(&job, result);
    assert_eq!(driver.used(0).len(), 1);
    let status = driver.bytes(*places.last().unwrap(), 1)[0];
    (job.work, status)
}

#[test]
fn a_read_is_answered_with_what_is_there_and_a_status_behind_it() {
    let mut driver = started(config());
    let (_, places) =
        driver.add(0, &[Buffer::Out(&head(0, 3)), Buffer::In(512), Buffer::In(512), Buffer::In(1)]);
    driver.notify(0);
    let job = driver.transport.take().unwrap();
    assert_eq!(job.work, Work::Read(3 * 512..5 * 512));
    assert!(!job.stable);
    let bytes: Vec<u8> = (0..=250).cycle().take(1024).collect();
    driver.transport.answer(&job, &Ok(bytes.clone()));
    assert_eq!(driver.used(0)[0].1, 1025);
    assert_eq!([driver.bytes(places[1], 512), driver.bytes(places[2], 512)].concat(), bytes);
    assert_eq!(driver.bytes(places[3], 1), [0]);
}

#[test]
fn a_write_comes_with_its_bytes_and_a_flush_without() {
    let mut driver = started(config());
    let bytes = vec![9; 1024];
    let (work, status) =
        ask(&mut driver, &[Buffer::Out(&head(1, 98)), Buffer::Out(&bytes), Buffer::In(1)], &Ok(Vec::new()));
    assert_eq!((work, status), (Work::Write { place: 98 * 512, bytes }, 0));
    let (work, status) = ask(&mut driver, &[Buffer::Out(&head(4, 0)), Buffer::In(1)], &Err(()));
    assert_eq!((work, status), (Work::Flush, 1), "the disk could not");
}

#[test]
fn without_flushes_each_write_is_to_be_on_the_disk() {
    let mut driver = Driver::started(block(config()).0, VERSION_1);
    driver.add(0, &[Buffer::Out(&head(1, 0)), Buffer::Out(&[0; 512]), Buffer::In(1)]);
    driver.notify(0);
    assert!(driver.transport.take().unwrap().stable);
}

#[test]
fn the_name_and_what_is_discarded_or_zeroed() {
    let mut driver = started(config());
    let (work, status) =
        ask(&mut driver, &[Buffer::Out(&head(8, 0)), Buffer::In(20), Buffer::In(1)], &Ok(vec![]));
    let Work::Say(name) = work else { panic!("{work:?}") };
    assert_eq!((name.len(), &name[..3], status), (20, &b"d0\0"[..], 0));
    for (bytes, expected) in [
        (cut(11, 4, 8, 0), Work::Discard(2048..6144)),
        (cut(13, 4, 8, 0), Work::Zero { part: 2048..6144, unmap: false }),
        (cut(13, 0, 100, 1), Work::Zero { part: 0..51200, unmap: true }),
        (cut(11, 4, 8, 1), Work::Refuse(2)),
        (cut(13, 4, 8, 2), Work::Refuse(2)),
        (cut(11, 99, 2, 0), Work::Refuse(1)),
        (cut(11, u64::MAX, 1, 0), Work::Refuse(1)),
        (cut(13, 0, u32::MAX, 0), Work::Refuse(1)),
    ] {
        let (work, status) = ask(&mut driver, &[Buffer::Out(&bytes), Buffer::In(1)], &Ok(vec![]));
        let wanted = if let Work::Refuse(status) = expected { status } else { 0 };
        assert_eq!((work, status), (expected, wanted));
    }
}

#[test]
fn what_is_no_request_is_refused_and_never_done() {
    let mut driver = started(config());
    for (buffers, status) in [
        (vec![Buffer::Out(&head(0, 0)), Buffer::In(511), Buffer::In(1)], 1),
        (vec![Buffer::Out(&head(0, 99)), Buffer::In(1024), Buffer::In(1)], 1),
        (vec![Buffer::Out(&head(0, u64::MAX)), Buffer::In(512), Buffer::In(1)], 1),
        (vec![Buffer::Out(&head(1, 0)), Buffer::Out(&[0; 100]), Buffer::In(1)], 1),
        (vec![Buffer::Out(&head(1, 0)), Buffer::Raw(1 << 40, 512, false), Buffer::In(1)], 1),
        (vec![Buffer::Out(&head(7, 0)), Buffer::In(1)], 2),
        (vec![Buffer::Out(&head(8, 0)), Buffer::In(19), Buffer::In(1)], 1),
        (vec![Buffer::Out(&head(11, 0)), Buffer::In(1)], 1),
        (vec![Buffer::Out(&[0; 15]), Buffer::In(1)], 1),
    ] {
        let (work, seen) = ask(&mut driver, &buffers, &Ok(vec![1; 4096]));
        assert_eq!((work, seen), (Work::Refuse(status), status), "{buffers:?}");
    }
    let readonly = BlockConfig { readonly: true, ..config() };
    let mut driver = Driver::started(block(readonly).0, F_RO | VERSION_1);
    let (work, _) =
        ask(&mut driver, &[Buffer::Out(&head(1, 0)), Buffer::Out(&[0; 512]), Buffer::In(1)], &Ok(vec![]));
    assert_eq!(work, Work::Refuse(1));
}

#[test]
fn more_than_the_largest_request_is_refused_before_any_of_it_is_copied() {
    let mut driver = started(BlockConfig { sectors: u64::MAX / 1024, ..config() });
    let huge = u32::MAX / 512 * 512;
    let (work, status) = ask(
        &mut driver,
        &[Buffer::Out(&head(1, 0)), Buffer::Raw(0, huge, false), Buffer::In(1)],
        &Ok(vec![]),
    );
    assert_eq!((work, status), (Work::Refuse(1), 1));
}

#[test]
fn memory_that_went_meanwhile_fails_its_request_alone() {
    let mut driver = started(config());
    let (work, status) = ask(
        &mut driver,
        &[Buffer::Out(&head(0, 0)), Buffer::Raw(1 << 40, 512, true), Buffer::In(1)],
        &Ok(vec![5; 512]),
    );
    assert_eq!((work, status), (Work::Read(0..512), 1));
    // Nothing to say it with.
    driver.add(0, &[Buffer::Out(&head(4, 0)), Buffer::Raw(1 << 40, 1, true)]);
    driver.add(0, &[Buffer::Out(&head(4, 0))]);
    driver.notify(0);
    for expected in [Work::Flush, Work::Refuse(1)] {
        let job = driver.transport.take().unwrap();
        assert_eq!(job.work, expected);
        driver.transport.answer(&job, &Ok(Vec::new()));
    }
    assert_eq!(driver.used(0).iter().map(|used| used.1).collect::<Vec<_>>(), [0, 0]);
}

#[test]
fn a_job_is_not_answered_to_the_driver_behind_the_one_that_asked() {
    let mut driver = started(config());
    driver.add(0, &[Buffer::Out(&head(0, 0)), Buffer::In(512), Buffer::In(1)]);
    driver.notify(0);
    let job = driver.transport.take().unwrap();
    driver.start(F_FLUSH | VERSION_1);
    driver.transport.answer(&job, &Ok(vec![5; 512]));
    assert_eq!(driver.used(0), []);
    driver.transport.system_reset();
    driver.transport.answer(&job, &Ok(vec![5; 512]));
    assert!(driver.transport.take().is_none());
}

#[test]
fn the_configuration_says_what_the_disk_is() {
    let (device, woken) = block(config());
    let mut driver = Driver::started(device, F_FLUSH | VERSION_1);
    assert!(
        woken.load(Ordering::Relaxed) > 0,
        "what was there before the driver was ready needs no notification"
    );
    let mut word = |at: u32| driver.read(reg::VIRTIO_MMIO_CONFIG + at);
    assert_eq!((word(0), word(4)), (100, 0));
    assert_eq!((word(8), word(12), word(20)), (64 << 10, 126, 512));
    assert_eq!((word(36), word(40), word(44), word(48), word(52)), (1 << 21, 1, 1, 1 << 21, 1));
    assert_eq!(word(56) & 0xff, 1);
}

#[test]
fn a_disk_of_another_size_is_another_disk() {
    let (mut device, _) = block(config());
    let state = device.state();
    device.restore(&state).unwrap();
    assert!(device.restore(&BlockState { sectors: 99 }).unwrap_err().0.contains("99"));
}

proptest! {
    /// Whatever a driver asks, what is done lies on the disk, and is no more than a request can be about.
    #[test]
    fn nothing_beyond_the_disk_is_ever_done(
        kind in prop_oneof![Just(0_u32), Just(1), Just(4), Just(8), Just(11), Just(13), any::<u32>()],
        sector in prop_oneof![0..SECTORS + 2, any::<u64>()],
        body in prop::collection::vec(any::<u8>(), 0..1100),
        room in 0..2000_u32,
    ) {
        let mut driver = started(config());
        let head = head(kind, sector);
        driver.add(0, &[Buffer::Out(&head), Buffer::Out(&body), Buffer::In(room), Buffer::In(1)]);
        driver.notify(0);
        let job = driver.transport.take().unwrap();
        let part = match &job.work {
            Work::Read(part) | Work::Discard(part) | Work::Zero { part, .. } => part.clone(),
            Work::Write { place, bytes } => *place..place + bytes.len() as u64,
            Work::Flush | Work::Say(_) | Work::Refuse(_) => 0..0,
        };
        prop_assert!(part.start <= part.end && part.end <= SECTORS * SECTOR, "{:?}", job.work);
        prop_assert!(part.start.is_multiple_of(SECTOR) && part.end.is_multiple_of(SECTOR));
        driver.transport.answer(&job, &Ok(vec![0; usize::try_from(part.end - part.start).unwrap()]));
        prop_assert_eq!(driver.used(0).len(), 1);
    }
}
