//! Frames of a driver and for it, and what is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use virtio_bindings::bindings::virtio_mmio as reg;

use super::*;
use crate::virtio::queue::Budget;
use crate::virtio::testing::{Buffer, Driver, VERSION_1};

const CONFIG: NetConfig = NetConfig { mac: [2, 0, 0, 0, 0, 7], mtu: Some(1400), offloads: false };

fn started(config: NetConfig) -> (Driver<Net>, Arc<AtomicUsize>) {
    let woken = Arc::<AtomicUsize>::default();
    let bell = woken.clone();
    let wake = move || {
        bell.fetch_add(1, Ordering::Relaxed);
    };
    (Driver::started(Net::new(config, Box::new(wake)), VERSION_1 | F_MAC | F_STATUS), woken)
}

fn frame(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(HEADER + length).collect()
}

#[test]
fn what_the_driver_sends_is_taken_in_order_and_whole() {
    let (mut driver, woken) = started(CONFIG);
    let before = woken.load(Ordering::Relaxed);
    let (one, two) = (frame(60), frame(1414));
    driver.add(TRANSMIT, &[Buffer::Out(&one[..HEADER]), Buffer::Out(&one[HEADER..])]);
    driver.add(TRANSMIT, &[Buffer::Out(&two)]);
    driver.notify(TRANSMIT);
    assert!(woken.load(Ordering::Relaxed) > before);
    assert_eq!(driver.transport.sent(), Some(one));
    assert_eq!(driver.transport.sent(), Some(two));
    assert_eq!(driver.transport.sent(), None);
    assert_eq!(driver.used(TRANSMIT).len(), 2);
}

#[test]
fn what_is_no_frame_goes_back_and_nowhere_else() {
    let (mut driver, _) = started(CONFIG);
    let length = u32::try_from(HEADER + LONGEST).unwrap();
    driver.add(TRANSMIT, &[Buffer::Out(&[0; HEADER])]);
    driver.add(TRANSMIT, &[Buffer::Raw(0, length + 1, false)]);
    driver.add(TRANSMIT, &[Buffer::Raw(0, u32::MAX, false), Buffer::Raw(0, u32::MAX, false)]);
    driver.add(TRANSMIT, &[Buffer::Raw(1 << 40, 100, false)]);
    driver.add(TRANSMIT, &[Buffer::In(100)]);
    driver.add(TRANSMIT, &[Buffer::Raw(0, length, false)]);
    driver.notify(TRANSMIT);
    assert_eq!(driver.transport.sent().map(|frame| frame.len()), Some(HEADER + LONGEST));
    assert_eq!(driver.transport.sent(), None);
    assert_eq!(driver.used(TRANSMIT).len(), 6);
}

#[test]
fn behind_many_that_are_no_frames_it_wakes_for_the_next() {
    let (mut driver, woken) = started(CONFIG);
    for _ in 0..Budget::PASS.chains {
        driver.add(TRANSMIT, &[Buffer::Out(&[0; HEADER])]);
    }
    driver.add(TRANSMIT, &[Buffer::Out(&frame(60))]);
    driver.notify(TRANSMIT);
    let before = woken.load(Ordering::Relaxed);
    assert_eq!(driver.transport.sent(), None);
    assert_eq!(woken.load(Ordering::Relaxed), before + 1);
    assert_eq!(driver.transport.sent(), Some(frame(60)));
    assert_eq!(driver.transport.sent(), None);
    assert_eq!(woken.load(Ordering::Relaxed), before + 1);
}

#[test]
fn what_comes_is_delivered_where_there_is_room() {
    let (mut driver, woken) = started(CONFIG);
    let mut frame = frame(100);
    assert_eq!(driver.transport.deliver(&mut frame), Delivered::NoRoom);
    let (_, places) = driver.add(RECEIVE, &[Buffer::In(12), Buffer::In(200)]);
    let before = woken.load(Ordering::Relaxed);
    driver.notify(RECEIVE);
    assert!(woken.load(Ordering::Relaxed) > before, "there is room now");
    assert_eq!(driver.transport.deliver(&mut frame), Delivered::Taken);
    assert_eq!(driver.used(RECEIVE)[0].1, 112);
    assert_eq!([driver.bytes(places[0], 12), driver.bytes(places[1], 100)].concat(), frame);
    assert_eq!(driver.bytes(places[0], 12)[10..], [1, 0], "one buffer");
}

#[test]
fn what_does_not_fit_is_dropped_and_the_buffer_is_for_the_next() {
    let (mut driver, _) = started(CONFIG);
    driver.add(RECEIVE, &[Buffer::In(100)]);
    driver.notify(RECEIVE);
    assert_eq!(driver.transport.deliver(&mut frame(100)), Delivered::Dropped);
    assert_eq!(driver.transport.deliver(&mut frame(80)), Delivered::Taken);
    assert_eq!(driver.used(RECEIVE).len(), 1);
    driver.transport.system_reset();
    assert_eq!(driver.transport.deliver(&mut frame(80)), Delivered::Dropped);
}

#[test]
fn a_buffer_that_is_not_in_memory_comes_back_empty() {
    let (mut driver, _) = started(CONFIG);
    driver.add(RECEIVE, &[Buffer::Raw(1 << 40, 2000, true)]);
    driver.notify(RECEIVE);
    driver.transport.deliver(&mut frame(80));
    assert_eq!(driver.used(RECEIVE)[0].1, 0);
}

#[test]
fn the_configuration_says_address_and_link() {
    let (mut driver, _) = started(CONFIG);
    let config = reg::VIRTIO_MMIO_CONFIG;
    assert_eq!(driver.read(config), 2);
    assert_eq!(driver.read(config + 4), 0x0001_0700);
    assert_eq!(driver.read(config + 8), 1 | 1400 << 16);
    driver.interrupts();
    driver.transport.set_up(false);
    assert_eq!(driver.read(config + 4) >> 16, 0);
    assert_eq!(driver.interrupts(), 2);
    driver.transport.set_up(false);
    assert_eq!(driver.interrupts(), 0);
}

#[test]
fn only_wires_that_can_take_offloads() {
    let device = |offloads| Net::new(NetConfig { offloads, mtu: None, ..CONFIG }, Box::new(|| {}));
    assert_eq!(device(false).features(), F_MAC | F_STATUS);
    assert_eq!(device(true).features() & (F_CSUM | F_HOST_TSO4), F_CSUM | F_HOST_TSO4);
    let mut other = device(false);
    assert!(other.restore(&NetState { mac: [2; 6] }).is_err());
}

#[test]
fn a_driver_that_makes_no_checksums_gets_them_made() {
    let with = |flags, start: u16, offset: u16, data: &[u8]| {
        let mut frame = vec![0; HEADER];
        frame[0] = flags;
        frame[CSUM_START..CSUM_START + 2].copy_from_slice(&start.to_le_bytes());
        frame[CSUM_OFFSET..CSUM_OFFSET + 2].copy_from_slice(&offset.to_le_bytes());
        frame.extend(data);
        frame
    };
    let made = |mut frame: Vec<u8>| {
        complete_checksum(&mut frame);
        (frame[0], frame[HEADER..].to_vec())
    };
    // The words of RFC 1071, section 3, whose sum is 0xDDF2, behind an address; and one byte more.
    let words = [9, 9, 0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7, 0, 0];
    let (flags, data) = made(with(NEEDS_CSUM, 2, 8, &words));
    assert_eq!((flags, &data[..10], &data[10..]), (0, &words[..10], &[0x22, 0x0D][..]));
    let odd = [&words[..], &[0x10]].concat();
    assert_eq!(made(with(NEEDS_CSUM, 2, 8, &odd)).1[10..12], [0x12, 0x0D]);
    assert_eq!(made(with(NEEDS_CSUM, 0, 2, &[0xFF, 0xFF, 0, 0])).1, [0xFF; 4], "never none");
    for (flags, start, offset) in
        [(0, 2, 8), (NEEDS_CSUM, 2, 9), (NEEDS_CSUM, 13, 0), (NEEDS_CSUM, u16::MAX, u16::MAX)]
    {
        assert_eq!(made(with(flags, start, offset, &words)), (flags, words.to_vec()));
    }
}
