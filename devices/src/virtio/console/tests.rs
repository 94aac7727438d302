//! The console from both ends: a driver on the queues, and an output that may be slow.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use vm_memory::{Bytes, GuestAddress, GuestAddressSpace};

use super::*;
use crate::bus::lock;
use crate::virtio::queue::Budget;
use crate::virtio::testing::{Buffer, Driver, EVENT_INDEX, VERSION_1};

mod moves;

const READY: [u8; 8] = [0, 0, 0, 0, 0, 0, 1, 0];
const PORT_READY: [u8; 8] = [0, 0, 0, 0, 3, 0, 1, 0];
const GUEST_OPENS: [u8; 8] = [0, 0, 0, 0, 6, 0, 1, 0];
const GUEST_CLOSES: [u8; 8] = [0, 0, 0, 0, 6, 0, 0, 0];

#[derive(Debug, Default)]
struct Pipe {
    bytes: Vec<u8>,
    room: usize,
}

#[derive(Debug, Clone, Default)]
struct SharedPipe(Arc<Mutex<Pipe>>);

impl PortOutput for SharedPipe {
    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut pipe = lock(&self.0);
        let taken = bytes.len().min(pipe.room);
        pipe.room -= taken;
        pipe.bytes.extend_from_slice(&bytes[..taken]);
        taken
    }
}

struct Guest {
    driver: Driver<Console>,
    pipe: SharedPipe,
    woken: Arc<AtomicUsize>,
}

impl Guest {
    /// A guest that has the port, with both ends open and room for everything.
    fn new(features: u64) -> Self {
        let pipe = SharedPipe::default();
        let woken = Arc::new(AtomicUsize::new(0));
        let count = woken.clone();
        let wake = Box::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let console = Console::new("dimmer.agent", Box::new(pipe.clone()), wake);
        let driver = Driver::started(console, VERSION_1 | F_MULTIPORT | features);
        Self { driver, pipe, woken }
    }

    fn open(features: u64) -> Self {
        let mut guest = Self::new(features);
        guest.driver.transport.set_host_open(true);
        guest.control(&READY);
        guest.control(&PORT_READY);
        guest.control(&GUEST_OPENS);
        guest.set_room(usize::MAX);
        guest
    }

    fn set_room(&self, room: usize) {
        lock(&self.pipe.0).room = room;
    }

    fn written(&self) -> Vec<u8> {
        lock(&self.pipe.0).bytes.clone()
    }

    fn woken(&self) -> usize {
        self.woken.swap(0, Ordering::SeqCst)
    }

    fn control(&mut self, message: &[u8]) {
        self.driver.add(CONTROL_TRANSMIT, &[Buffer::Out(message)]);
        self.driver.notify(CONTROL_TRANSMIT);
        assert_eq!(self.driver.used(CONTROL_TRANSMIT).len(), 1);
    }

    /// Gives the device `count` control buffers and returns the messages that came.
    fn heard(&mut self, count: usize) -> Vec<Vec<u8>> {
        let added: Vec<_> = (0..count).map(|_| self.driver.add(CONTROL_RECEIVE, &[Buffer::In(64)])).collect();
        self.driver.notify(CONTROL_RECEIVE);
        let used = self.driver.used(CONTROL_RECEIVE);
        used.iter()
            .zip(added)
            .map(|((_, length), (_, addresses))| self.driver.bytes(addresses[0], *length))
            .collect()
    }

    fn send(&mut self, bytes: &[u8]) {
        self.driver.add(TRANSMIT, &[Buffer::Out(bytes)]);
        self.driver.notify(TRANSMIT);
    }
}

#[test]
fn the_driver_finds_one_named_port() {
    let mut guest = Guest::new(0);
    guest.driver.transport.set_host_open(true);
    guest.control(&READY);
    assert_eq!(guest.heard(1), [[0, 0, 0, 0, 1, 0, 0, 0]]);
    guest.control(&PORT_READY);
    let name = [&[0, 0, 0, 0, 7, 0, 1, 0], &b"dimmer.agent"[..]].concat();
    assert_eq!(guest.heard(3), [name, vec![0, 0, 0, 0, 6, 0, 1, 0]]);
    let mut ports = [0; 4];
    guest.driver.transport.device().read_config(4, &mut ports);
    assert_eq!(ports, [1, 0, 0, 0]);
}

#[test]
fn messages_wait_for_buffers() {
    let mut guest = Guest::new(EVENT_INDEX);
    guest.control(&READY);
    guest.control(&PORT_READY);
    guest.driver.transport.set_host_open(true);
    assert_eq!(guest.heard(1).len(), 1);
    assert_eq!(guest.heard(1).len(), 1);
    assert_eq!(guest.heard(1), [[0, 0, 0, 0, 6, 0, 1, 0]]);
}

#[test]
fn what_the_guest_writes_arrives_whole_and_in_order() {
    let mut guest = Guest::open(EVENT_INDEX);
    let long: Vec<u8> = (0..200_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    guest.send(b"first ");
    guest.driver.add(TRANSMIT, &[Buffer::Out(b"second "), Buffer::Out(&long), Buffer::Out(b"last")]);
    guest.driver.notify(TRANSMIT);
    assert_eq!(guest.written(), [b"first second ", &long[..], b"last"].concat());
    assert_eq!(guest.driver.used(TRANSMIT).len(), 2);
    assert_eq!(guest.driver.interrupts() & 1, 1);
}

#[test]
fn a_slow_reader_loses_nothing() {
    for features in [0, EVENT_INDEX] {
        let mut guest = Guest::open(features);
        guest.set_room(7);
        guest.send(b"hello ");
        guest.send(b"world, ");
        guest.send(b"again");
        assert_eq!(guest.written(), b"hello w");
        assert_eq!(guest.driver.used(TRANSMIT).len(), 1);
        for room in [0, 1, 5, 2] {
            guest.set_room(room);
            guest.driver.transport.carry_on();
        }
        assert_eq!(guest.written(), b"hello world, ag");
        guest.set_room(usize::MAX);
        guest.driver.transport.carry_on();
        assert_eq!(guest.written(), b"hello world, again");
        assert_eq!(guest.driver.used(TRANSMIT).len(), 2);
        guest.send(b"!");
        assert_eq!(guest.written(), b"hello world, again!");
    }
}

#[test]
fn nothing_is_kept_for_a_reader_who_left() {
    let mut guest = Guest::open(0);
    guest.set_room(3);
    guest.send(b"for the first");
    guest.driver.transport.set_host_open(false);
    assert_eq!(guest.driver.used(TRANSMIT).len(), 1);
    guest.send(b"for nobody");
    assert_eq!(guest.driver.used(TRANSMIT).len(), 1);
    guest.set_room(usize::MAX);
    guest.driver.transport.set_host_open(true);
    guest.send(b" and the second");
    assert_eq!(guest.written(), b"for and the second");
}

#[test]
fn input_fills_the_guests_buffers_and_the_rest_is_asked_for() {
    for features in [0, EVENT_INDEX] {
        let mut guest = Guest::open(features);
        guest.woken();
        let (_, first) = guest.driver.add(RECEIVE, &[Buffer::In(2), Buffer::In(2)]);
        guest.driver.notify(RECEIVE);
        assert_eq!(guest.woken(), 0, "nobody has input yet");
        assert_eq!(guest.driver.transport.receive(b"abcdef"), 4);
        assert_eq!(guest.driver.bytes(first[0], 4), b"abcd");
        assert_eq!(guest.driver.used(RECEIVE), [(0, 4)]);
        assert_eq!(guest.driver.transport.receive(b"ef"), 0);
        assert_eq!(guest.woken(), 0);
        let (_, second) = guest.driver.add(RECEIVE, &[Buffer::In(8)]);
        guest.driver.notify(RECEIVE);
        assert_eq!(guest.woken(), 1);
        assert_eq!(guest.driver.transport.receive(b"ef"), 2);
        assert_eq!(guest.driver.bytes(second[0], 2), b"ef");
        assert_eq!(guest.driver.interrupts() & 1, 1);
    }
}

#[test]
fn input_waits_until_the_guest_opens_the_port() {
    let mut guest = Guest::new(0);
    guest.driver.add(RECEIVE, &[Buffer::In(8)]);
    guest.driver.notify(RECEIVE);
    assert!(!guest.driver.transport.can_receive());
    assert_eq!(guest.driver.transport.receive(b"hi"), 0);
    guest.control(&GUEST_OPENS);
    assert_eq!(guest.woken(), 1);
    assert!(guest.driver.transport.can_receive());
    assert_eq!(guest.driver.transport.receive(b"hi"), 2);
    guest.control(&GUEST_CLOSES);
    assert_eq!(guest.driver.transport.receive(b"hi"), 0);
}

#[test]
fn more_input_than_one_round_of_buffers_is_asked_for_again() {
    let mut guest = Guest::open(0);
    for _ in 0..QUEUE_SIZE {
        guest.driver.add(RECEIVE, &[Buffer::In(1)]);
    }
    assert_eq!(guest.driver.transport.receive(&[7; 1000]), Budget::PASS.chains);
    assert_eq!(guest.woken(), 1);
}

#[test]
fn a_guest_that_sends_one_large_buffer_again_and_again_costs_a_budget_at_a_time() {
    let mut guest = Guest::open(0);
    let (start, size, chains) = (4 << 20, 3 << 20, 8);
    (0..chains).for_each(|_| drop(guest.driver.add(TRANSMIT, &[Buffer::Raw(start, size, false)])));
    guest.woken();
    guest.driver.notify(TRANSMIT);
    let mut sent = 0;
    for _ in 0..chains * size as usize / Budget::PASS.bytes {
        sent += Budget::PASS.bytes;
        assert_eq!((guest.written().len(), guest.woken()), (sent, 1));
        guest.driver.transport.carry_on();
    }
    assert_eq!((guest.written().len(), guest.driver.used(TRANSMIT).len()), (sent, chains));
    assert_eq!(guest.woken(), 0, "nothing is left");
}

#[test]
fn more_control_messages_than_one_pass_takes_are_taken_in_the_next() {
    let mut guest = Guest::new(0);
    for _ in 0..Budget::PASS.chains {
        guest.driver.add(CONTROL_TRANSMIT, &[Buffer::Out(&GUEST_CLOSES)]);
    }
    guest.driver.add(CONTROL_TRANSMIT, &[Buffer::Out(&GUEST_OPENS)]);
    guest.driver.notify(CONTROL_TRANSMIT);
    assert_eq!((guest.driver.transport.can_receive(), guest.woken()), (false, 1));
    guest.driver.transport.carry_on();
    assert!(guest.driver.transport.can_receive());
}

#[test]
fn bad_buffers_are_returned_and_the_next_ones_work() {
    let mut guest = Guest::open(0);
    guest.driver.add(TRANSMIT, &[Buffer::Raw(u64::MAX - 1, 100, false)]);
    guest.driver.add(TRANSMIT, &[Buffer::Raw(1 << 40, 4, false)]);
    guest.driver.add(TRANSMIT, &[Buffer::In(4)]);
    guest.send(b"ok");
    assert_eq!(guest.written(), b"ok");
    assert_eq!(guest.driver.used(TRANSMIT).len(), 4);
    guest.driver.add(RECEIVE, &[Buffer::Out(b"xx")]);
    guest.driver.add(RECEIVE, &[Buffer::Raw(1 << 40, 4, true)]);
    let (_, good) = guest.driver.add(RECEIVE, &[Buffer::In(4)]);
    assert_eq!(guest.driver.transport.receive(b"ok"), 2);
    assert_eq!(guest.driver.bytes(good[0], 2), b"ok");
    guest.driver.add(CONTROL_TRANSMIT, &[Buffer::Raw(1 << 40, 8, false)]);
    guest.driver.add(CONTROL_TRANSMIT, &[Buffer::Out(b"short")]);
    guest.driver.notify(CONTROL_TRANSMIT);
    assert_eq!(guest.driver.used(CONTROL_TRANSMIT).len(), 2);
}

#[test]
fn a_chain_that_shrank_while_it_waited_is_harmless() {
    let mut guest = Guest::open(0);
    guest.set_room(5);
    guest.send(b"long enough");
    guest
        .driver
        .memory
        .memory()
        .write_obj(2_u32, GuestAddress(crate::virtio::testing::rings(TRANSMIT) + 8))
        .unwrap();
    guest.set_room(usize::MAX);
    guest.driver.transport.carry_on();
    guest.send(b"!");
    assert_eq!(guest.written(), b"long !");
}

#[test]
fn a_new_driver_starts_afresh() {
    let mut guest = Guest::open(0);
    guest.set_room(2);
    guest.send(b"abcdef");
    guest.driver.start(VERSION_1 | F_MULTIPORT);
    assert!(!guest.driver.transport.can_receive());
    guest.set_room(usize::MAX);
    guest.control(&READY);
    guest.control(&PORT_READY);
    assert_eq!(guest.heard(4).len(), 3, "add, name, open: the host's end is still open");
    guest.send(b"new");
    assert_eq!(guest.written(), b"abnew");
}
