//! Packets of a driver and for it, and what is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use virtio_bindings::bindings::virtio_mmio as reg;
use zerocopy::FromBytes;

use super::*;
use crate::virtio::queue::Budget;
use crate::virtio::testing::{Buffer, Driver, VERSION_1};

const CID: u32 = 7;

fn started() -> (Driver<Vsock>, Arc<AtomicUsize>) {
    let woken = Arc::<AtomicUsize>::default();
    let bell = woken.clone();
    let wake = move || {
        bell.fetch_add(1, Ordering::Relaxed);
    };
    (Driver::started(Vsock::new(CID, Box::new(wake)), VERSION_1), woken)
}

fn header(length: usize) -> Header {
    Header {
        source: u64::from(CID).into(),
        destination: HOST.into(),
        source_port: 1024.into(),
        destination_port: 52.into(),
        length: u32::try_from(length).unwrap().into(),
        kind: STREAM.into(),
        op: (Op::Data as u16).into(),
        ..Header::default()
    }
}

#[test]
fn what_the_driver_sends_is_taken_in_order_and_whole() {
    let (mut driver, woken) = started();
    let before = woken.load(Ordering::Relaxed);
    let (one, two) = (header(0), header(5));
    driver.add(TRANSMIT, &[Buffer::Out(one.as_bytes())]);
    driver.add(TRANSMIT, &[Buffer::Out(two.as_bytes()), Buffer::Out(b"he"), Buffer::Out(b"llo")]);
    driver.notify(TRANSMIT);
    assert!(woken.load(Ordering::Relaxed) > before);
    assert_eq!(driver.transport.sent(), Some(Packet { header: one, data: Vec::new() }));
    assert_eq!(driver.transport.sent(), Some(Packet { header: two, data: b"hello".to_vec() }));
    assert_eq!(driver.transport.sent(), None);
    assert_eq!(driver.used(TRANSMIT).len(), 2);
}

#[test]
fn what_is_no_packet_goes_back_and_nowhere_else() {
    let (mut driver, woken) = started();
    let (short, huge) = (header(6), header(LONGEST + 1));
    let chains: [&[Buffer<'_>]; 5] = [
        &[Buffer::Out(&[0; HEADER - 1])],
        &[Buffer::Out(short.as_bytes()), Buffer::Out(b"hello")],
        &[Buffer::Out(huge.as_bytes()), Buffer::Raw(0, 1 << 20, false)],
        &[Buffer::Raw(1 << 40, 100, false)],
        &[Buffer::In(100)],
    ];
    for at in 0..Budget::PASS.chains {
        driver.add(TRANSMIT, chains[at % chains.len()]);
    }
    driver.add(TRANSMIT, &[Buffer::Out(header(0).as_bytes())]);
    driver.notify(TRANSMIT);
    let before = woken.load(Ordering::Relaxed);
    assert_eq!(driver.transport.sent(), None, "that is enough for one pass");
    assert_eq!(woken.load(Ordering::Relaxed), before + 1);
    assert!(driver.transport.sent().is_some());
}

#[test]
fn what_comes_is_delivered_as_far_as_there_is_room() {
    let (mut driver, woken) = started();
    assert_eq!(driver.transport.deliver(header(5), b"hello"), None);
    let before = woken.load(Ordering::Relaxed);
    let small = u32::try_from(HEADER).unwrap();
    driver.add(RECEIVE, &[Buffer::In(small - 1)]);
    let (_, first) = driver.add(RECEIVE, &[Buffer::In(small), Buffer::In(3)]);
    let (_, second) = driver.add(RECEIVE, &[Buffer::In(4096)]);
    driver.notify(RECEIVE);
    assert!(woken.load(Ordering::Relaxed) > before, "there is room now");
    assert_eq!(driver.transport.deliver(header(5), b"hello"), Some(3));
    assert_eq!(driver.transport.deliver(header(2), b"lo"), Some(2));
    assert_eq!(driver.transport.deliver(header(0), b""), None);
    let lengths: Vec<_> = driver.used(RECEIVE).into_iter().map(|(_, length)| length).collect();
    assert_eq!(lengths, [0, small + 3, small + 2]);
    let read = |place, length| Header::read_from_bytes(&driver.bytes(place, length)).unwrap();
    assert_eq!((read(first[0], small), driver.bytes(first[1], 3)), (header(3), b"hel".to_vec()));
    assert_eq!(read(second[0], small), header(2));
}

#[test]
fn a_driver_that_goes_on_is_told_that_connections_are_gone() {
    let (mut driver, _) = started();
    let (_, places) = driver.add(EVENTS, &[Buffer::In(4)]);
    driver.notify(EVENTS);
    assert!(driver.used(EVENTS).is_empty(), "there is nothing to say");
    let state = driver.transport.state();
    let device = Vsock::new(CID, Box::new(|| {}));
    driver.transport = VirtioMmio::new(device, driver.memory.clone(), driver.line.clone());
    driver.transport.restore(&state).unwrap();
    driver.transport.go_on();
    assert_eq!(driver.used(EVENTS).len(), 1);
    assert_eq!(driver.bytes(places[0], 4), TRANSPORT_RESET);
    driver.transport.go_on();
    assert!(driver.used(EVENTS).is_empty(), "once");
    let mut other = Vsock::new(CID + 1, Box::new(|| {}));
    assert!(other.restore(&VsockState { cid: CID }).is_err());
}

#[test]
fn the_configuration_says_the_guests_id_and_each_driver_counts() {
    let (mut driver, _) = started();
    assert_eq!(driver.read(reg::VIRTIO_MMIO_CONFIG), CID);
    assert_eq!(driver.read(reg::VIRTIO_MMIO_CONFIG + 4), 0);
    let epoch = driver.transport.device().epoch();
    driver.transport.system_reset();
    assert!(driver.transport.device().epoch() > epoch);
    assert_eq!(driver.transport.sent(), None);
    assert_eq!(driver.transport.deliver(header(0), b""), None);
}

#[test]
fn operations_are_those_of_the_specification() {
    let numbers: Vec<_> = (0..=u16::MAX).filter_map(Op::of).map(|op| op as u16).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7]);
}
