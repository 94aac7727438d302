//! The device from both sides: the host's requests, and a driver on the queue.

use proptest::prelude::*;

use super::abi::*;
use super::*;
use crate::bus::BusDevice;
use crate::testing::{Call, Events, FakeHost, outcome};
use crate::virtio::mmio::VirtioMmio;
use crate::virtio::testing::{Buffer, Driver, VERSION_1};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const START: u64 = 8 * GIB;
const BLOCK: u64 = 2 * MIB;
const SIZE: u64 = 2 * GIB + 512 * MIB;
const GRANULE: u64 = GIB;

const ACK: Option<(u16, u16)> = Some((RESPONSE_ACK, 0));
const NACK: Option<(u16, u16)> = Some((RESPONSE_NACK, 0));
const BUSY: Option<(u16, u16)> = Some((RESPONSE_BUSY, 0));
const ERROR: Option<(u16, u16)> = Some((RESPONSE_ERROR, 0));

struct Machine {
    driver: Driver<VirtioMem>,
    host: Arc<FakeHost>,
    events: Arc<Events>,
}

fn config() -> VirtioMemConfig {
    VirtioMemConfig {
        id: "vmem0".to_owned(),
        region: GuestRange::new(START, SIZE),
        block_size: BLOCK,
        node: 1,
        requested_size: 0,
        granule: GRANULE,
    }
}

impl Machine {
    fn with(config: VirtioMemConfig) -> Self {
        let (host, events) = (FakeHost::new(), Events::new());
        let device = VirtioMem::new(config, host.clone(), events.clone()).unwrap();
        let driver = Driver::started(device, VERSION_1 | F_UNPLUGGED_INACCESSIBLE);
        Self { driver, host, events }
    }

    /// A machine whose driver was asked for `size` bytes.
    fn requesting(size: u64) -> Self {
        let mut machine = Self::with(config());
        machine.transport().request(size).unwrap();
        machine.events.taken();
        machine.driver.interrupts();
        machine
    }

    fn transport(&mut self) -> &mut VirtioMmio<VirtioMem> {
        &mut self.driver.transport
    }

    fn status(&self) -> MemoryStatus {
        self.driver.transport.status()
    }

    /// Sends a request as Linux does. Type and state of the response, if there is one.
    fn send(&mut self, kind: u16, offset: u64, blocks: u16) -> Option<(u16, u16)> {
        self.send_raw(kind, START.wrapping_add(offset), blocks)
    }

    fn send_raw(&mut self, kind: u16, address: u64, blocks: u16) -> Option<(u16, u16)> {
        let request = wire(kind, address, blocks);
        self.send_chain(&[Buffer::Out(&request), Buffer::In(10)])
    }

    /// Sends a chain whose last buffer is the response's.
    fn send_chain(&mut self, chain: &[Buffer<'_>]) -> Option<(u16, u16)> {
        let (head, addresses) = self.driver.add(0, chain);
        self.driver.notify(0);
        let used = self.driver.used(0);
        assert_eq!(used.len(), 1, "every request comes back");
        assert_eq!(used[0].0, u32::from(head));
        if used[0].1 == 0 {
            return None;
        }
        assert_eq!(used[0].1, 10);
        let response = self.driver.bytes(*addresses.last().unwrap(), 10);
        let word = |at: usize| u16::from_le_bytes([response[at], response[at + 1]]);
        Some((word(0), word(8)))
    }

    fn plug(&mut self, offset: u64, size: u64) -> Option<(u16, u16)> {
        self.send(REQUEST_PLUG, offset, u16::try_from(size / BLOCK).unwrap())
    }

    fn unplug(&mut self, offset: u64, size: u64) -> Option<(u16, u16)> {
        self.send(REQUEST_UNPLUG, offset, u16::try_from(size / BLOCK).unwrap())
    }

    fn config_u64(&mut self, offset: u64) -> u64 {
        let mut data = [0; 8];
        self.transport().read(0x100 + offset, &mut data);
        u64::from_le_bytes(data)
    }
}

fn wire(kind: u16, address: u64, blocks: u16) -> Vec<u8> {
    let mut bytes = vec![0; 24];
    bytes[..2].copy_from_slice(&kind.to_le_bytes());
    bytes[8..16].copy_from_slice(&address.to_le_bytes());
    bytes[16..18].copy_from_slice(&blocks.to_le_bytes());
    bytes
}

const fn granule(number: u64) -> GuestRange {
    let start = number * GRANULE;
    GuestRange::new(START + start, if SIZE - start < GRANULE { SIZE - start } else { GRANULE })
}

#[test]
fn the_configuration_space_is_laid_out_as_specified() {
    let mut machine = Machine::requesting(GIB);
    machine.plug(0, 4 * MIB);
    let fields = [0, 8, 16, 24, 32, 40, 48, 56].map(|offset| machine.config_u64(offset));
    assert_eq!(fields, [BLOCK, 1, START, SIZE, GIB + 256 * MIB, 4 * MIB, GIB, 0]);
}

#[test]
fn a_driver_that_may_touch_unplugged_memory_is_not_accepted() {
    let device = VirtioMem::new(config(), FakeHost::new(), Events::new()).unwrap();
    let mut driver = Driver::new(device);
    driver.negotiate(VERSION_1 | F_ACPI_PXM);
    assert_eq!(driver.read(0x70), 0x3);
}

#[test]
fn growing_is_done_when_the_requested_size_is_plugged() {
    let mut machine = Machine::with(config());
    let status = machine.transport().request(256 * MIB).unwrap();
    assert_eq!((status.state, status.requested_size, status.plugged_size), (State::Plugging, 256 * MIB, 0));
    assert_eq!(machine.driver.interrupts(), 2);
    assert_eq!(machine.plug(0, 128 * MIB), ACK);
    assert_eq!(machine.plug(128 * MIB, 128 * MIB), ACK);
    assert_eq!(machine.status().state, State::Plugged);
    assert_eq!(machine.host.calls(), [Call::Back(granule(0))]);
    let expected =
        ["accepted vmem0", "progress vmem0 0x8000000", "progress vmem0 0x10000000", "finished vmem0 done"];
    assert_eq!(machine.events.taken(), expected);
}

#[test]
fn shrinking_gives_the_memory_back_at_once() {
    let mut machine = Machine::requesting(SIZE);
    for number in 0..3 {
        assert_eq!(machine.plug(granule(number).start - START, granule(number).size), ACK);
    }
    machine.host.calls();
    machine.events.taken();
    machine.transport().request(GIB).unwrap();
    assert_eq!(machine.status().state, State::Unplugging);
    assert_eq!(machine.unplug(2 * GIB, 512 * MIB), ACK);
    assert_eq!(machine.unplug(2 * GIB - 128 * MIB, 128 * MIB), ACK);
    assert_eq!(machine.unplug(GIB, GIB - 128 * MIB), ACK);
    let discarded = GuestRange::new(START + 2 * GIB - 128 * MIB, 128 * MIB);
    assert_eq!(
        machine.host.calls(),
        [Call::Unback(granule(2)), Call::Discard(discarded), Call::Unback(granule(1))]
    );
    assert_eq!(machine.host.backed(), [granule(0)]);
    assert_eq!(machine.events.taken().last().unwrap(), "finished vmem0 done");
}

#[test]
fn requests_that_are_wrong_get_an_error_and_change_nothing() {
    let mut machine = Machine::requesting(GIB);
    assert_eq!(machine.plug(4 * MIB, 4 * MIB), ACK);
    let before = (machine.status(), machine.host.calls());
    let usable = machine.status().usable_size;
    for (kind, address, blocks) in [
        (REQUEST_PLUG, START, 0),
        (REQUEST_PLUG, START + MIB, 1),
        (REQUEST_PLUG, START - BLOCK, 1),
        (REQUEST_PLUG, START + usable, 1),
        (REQUEST_PLUG, START + usable - BLOCK, 2),
        (REQUEST_PLUG, START + SIZE, 1),
        (REQUEST_PLUG, !(BLOCK - 1), u16::MAX),
        (REQUEST_PLUG, 0, u16::MAX),
        (REQUEST_PLUG, START + 4 * MIB, 1),
        (REQUEST_PLUG, START + 2 * MIB, 2),
        (REQUEST_UNPLUG, START, 1),
        (REQUEST_UNPLUG, START + 6 * MIB, 2),
        (REQUEST_UNPLUG, START + 4 * MIB, 0),
        (REQUEST_STATE, START, 0),
        (REQUEST_STATE, START + usable, 1),
        (4, START, 1),
        (u16::MAX, START, 1),
    ] {
        assert_eq!(machine.send_raw(kind, address, blocks), ERROR, "{kind} {address:#x} {blocks}");
    }
    assert_eq!((machine.status(), machine.host.calls()), (before.0, vec![]));
    assert_eq!(before.1, [Call::Back(granule(0))]);
}

#[test]
fn plugging_beyond_the_requested_size_is_not_acknowledged() {
    let mut machine = Machine::requesting(4 * MIB);
    assert_eq!(machine.plug(0, 6 * MIB), NACK);
    assert_eq!(machine.plug(0, 4 * MIB), ACK);
    assert_eq!(machine.plug(4 * MIB, 2 * MIB), NACK);
    assert_eq!(machine.status().plugged_size, 4 * MIB);
}

#[test]
fn the_state_of_blocks_can_be_asked_for() {
    let mut machine = Machine::requesting(GIB);
    machine.plug(4 * MIB, 4 * MIB);
    for (offset, blocks, state) in
        [(4, 2, STATE_PLUGGED), (0, 2, STATE_UNPLUGGED), (2, 2, STATE_MIXED), (0, 500, STATE_MIXED)]
    {
        assert_eq!(machine.send(REQUEST_STATE, offset * MIB, blocks), Some((RESPONSE_ACK, state)));
    }
}

#[test]
fn hostile_chains_are_answered_where_that_is_possible() {
    let mut machine = Machine::requesting(GIB);
    let plug = wire(REQUEST_PLUG, START, 1);
    let far = 1 << 40;
    for (chain, answered) in [
        (vec![Buffer::Out(&plug[..23]), Buffer::In(10)], true),
        (vec![Buffer::In(10)], true),
        (vec![Buffer::In(24), Buffer::In(10)], true),
        (vec![Buffer::Raw(far, 24, false), Buffer::In(10)], true),
        (vec![Buffer::Raw(u64::MAX - 4, 24, false), Buffer::In(10)], true),
        (vec![Buffer::Out(&plug)], false),
        (vec![Buffer::Out(&plug), Buffer::In(9)], false),
        (vec![Buffer::Out(&plug), Buffer::Out(&[0; 10])], false),
        (vec![Buffer::Out(&plug), Buffer::Raw(far, 10, true)], false),
        (vec![Buffer::Out(&plug), Buffer::Raw(u64::MAX - 4, 10, true)], false),
    ] {
        let (head, _) = machine.driver.add(0, &chain);
        machine.driver.notify(0);
        let length = if answered { 10 } else { 0 };
        assert_eq!(machine.driver.used(0), [(u32::from(head), length)], "{chain:?}");
        assert_eq!(machine.status().plugged_size, 0, "{chain:?}");
    }
}

#[test]
fn requests_and_responses_may_be_scattered() {
    let mut machine = Machine::requesting(GIB);
    let plug = wire(REQUEST_PLUG, START, 1);
    let chain =
        [Buffer::Out(&plug[..5]), Buffer::Out(&plug[5..]), Buffer::In(3), Buffer::In(0), Buffer::In(50)];
    let (head, addresses) = machine.driver.add(0, &chain);
    let poison = vm_memory::GuestAddress(addresses[2]);
    {
        use vm_memory::{Bytes, GuestAddressSpace};
        machine.driver.memory.memory().write_slice(&[0xee; 53], poison).unwrap();
    }
    machine.driver.notify(0);
    assert_eq!(machine.driver.used(0), [(u32::from(head), 10)]);
    assert_eq!(machine.driver.bytes(addresses[2], 11), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xee]);
    assert_eq!(machine.status().plugged_size, BLOCK);
}

#[test]
fn a_host_that_cannot_makes_the_driver_wait_and_nothing_is_half_done() {
    let mut machine = Machine::requesting(SIZE);
    let second = granule(1);
    machine.host.fail_when(move |call| call == Call::Back(second));
    assert_eq!(machine.plug(GIB - 4 * MIB, 8 * MIB), BUSY);
    assert_eq!((machine.host.backed(), machine.status().plugged_size), (vec![], 0));
    machine.host.recover();
    assert_eq!(machine.plug(GIB - 4 * MIB, 8 * MIB), ACK);
    assert_eq!(machine.host.backed(), [granule(0), granule(1)]);
    let before = machine.status();
    machine.host.fail_when(move |call| call == Call::Unback(second));
    assert_eq!(machine.unplug(GIB - 4 * MIB, 8 * MIB), BUSY);
    assert_eq!(machine.send(REQUEST_UNPLUG_ALL, 0, 0), BUSY);
    assert_eq!((machine.host.backed(), machine.status()), (vec![granule(0), granule(1)], before));
    machine.host.recover();
    assert_eq!(machine.unplug(GIB - 4 * MIB, 8 * MIB), ACK);
    assert_eq!(machine.host.backed(), []);
}

#[test]
fn a_discard_that_fails_leaves_the_blocks_plugged() {
    let mut machine = Machine::requesting(GIB);
    machine.plug(0, 8 * MIB);
    machine.host.fail_when(|call| matches!(call, Call::Discard(_)));
    assert_eq!(machine.unplug(0, 4 * MIB), BUSY);
    assert_eq!(machine.status().plugged_size, 8 * MIB);
}

#[test]
fn unplug_all_empties_the_device_and_shrinks_what_is_usable() {
    let mut machine = Machine::requesting(2 * GIB);
    machine.plug(0, GIB + 2 * MIB);
    machine.transport().request(64 * MIB).unwrap();
    assert_eq!(machine.status().usable_size, 2 * GIB + 256 * MIB);
    assert_eq!(machine.send(REQUEST_UNPLUG_ALL, 0, 0), ACK);
    let status = machine.status();
    assert_eq!((status.plugged_size, status.usable_size, status.state), (0, 384 * MIB, State::Plugging));
    assert_eq!(machine.host.backed(), []);
    machine.events.taken();
    assert_eq!(machine.send(REQUEST_UNPLUG_ALL, 0, 0), ACK);
    assert!(machine.events.taken().is_empty(), "there was nothing to unplug");
}

#[test]
fn another_request_ends_the_one_under_way() {
    let mut machine = Machine::requesting(8 * MIB);
    machine.transport().request(6 * MIB).unwrap();
    machine.plug(0, 2 * MIB);
    machine.transport().request(0).unwrap();
    machine.unplug(0, 2 * MIB);
    let expected = [
        "finished vmem0 refused: superseded by a request for 6291456 bytes",
        "accepted vmem0",
        "progress vmem0 0x200000",
        "finished vmem0 partial: superseded by a request for 0 bytes",
        "accepted vmem0",
        "progress vmem0 0x0",
        "finished vmem0 done",
    ];
    assert_eq!(machine.events.taken(), expected);
    assert_eq!(machine.status().state, State::Idle);
}

#[test]
fn the_same_request_again_reminds_the_driver_and_ends_nothing() {
    let mut machine = Machine::requesting(8 * MIB);
    machine.transport().request(8 * MIB).unwrap();
    assert_eq!(machine.driver.interrupts(), 2);
    assert_eq!(machine.events.taken(), ["accepted vmem0"]);
    machine.plug(0, 8 * MIB);
    machine.events.taken();
    machine.driver.interrupts();
    let status = machine.transport().request(8 * MIB).unwrap();
    assert_eq!((status.state, outcome(&status)), (State::Plugged, "done".to_owned()));
    assert_eq!(machine.driver.interrupts(), 2);
    assert_eq!(machine.events.taken(), ["accepted vmem0"]);
}

#[test]
fn bad_requests_of_the_host_name_what_is_wrong_and_change_nothing() {
    let mut machine = Machine::requesting(GIB);
    let before = machine.status();
    for size in [MIB, SIZE + BLOCK, u64::MAX, !(BLOCK - 1)] {
        let error = machine.transport().request(size).unwrap_err().to_string();
        assert!(error.starts_with(&format!("requested_size: {size} is not a multiple")), "{error}");
    }
    assert_eq!((machine.status(), machine.driver.interrupts(), machine.events.taken()), (before, 0, vec![]));
}

#[test]
fn a_device_that_cannot_be_is_not_made() {
    let region = |start, size| VirtioMemConfig { region: GuestRange::new(start, size), ..config() };
    for (config, expected) in [
        (VirtioMemConfig { block_size: 0, ..config() }, "block_size: 0 "),
        (VirtioMemConfig { block_size: 3 * MIB, ..config() }, "block_size: 3145728 "),
        (VirtioMemConfig { block_size: MIB / 2, ..config() }, "block_size: 524288 "),
        (region(START, 0), "region: 0 bytes at"),
        (region(START + MIB, GIB), "region: 1073741824 bytes at 0x200100000"),
        (region(START, GIB + MIB), "region: "),
        (region(!(GIB - 1), 2 * GIB), "region: "),
        (VirtioMemConfig { granule: MIB, ..config() }, "granule: 1048576 "),
        (VirtioMemConfig { granule: 3 * GIB, ..config() }, "granule: 3221225472 "),
        (VirtioMemConfig { requested_size: SIZE + BLOCK, ..config() }, "requested_size: "),
        (VirtioMemConfig { requested_size: MIB, ..config() }, "requested_size: 1048576 "),
    ] {
        let error = VirtioMem::new(config, FakeHost::new(), Events::new()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_size_can_be_requested_before_the_driver_is_there() {
    let device = VirtioMem::new(config(), FakeHost::new(), Events::new()).unwrap();
    let mut driver = Driver::new(device);
    driver.transport.request(GIB).unwrap();
    assert!(!driver.line.is_high());
    let mut data = [0; 8];
    driver.transport.read(0x100 + 48, &mut data);
    assert_eq!(u64::from_le_bytes(data), GIB);
}

#[test]
fn a_reset_of_the_device_keeps_its_blocks() {
    let mut machine = Machine::requesting(GIB);
    machine.plug(0, GIB);
    let before = machine.status();
    machine.driver.start(VERSION_1 | F_UNPLUGGED_INACCESSIBLE);
    assert_eq!((machine.status(), machine.host.backed()), (before, vec![granule(0)]));
    assert_eq!(machine.send(REQUEST_UNPLUG_ALL, 0, 0), ACK);
    assert_eq!(machine.plug(0, GIB), ACK);
}

#[test]
fn a_system_reset_unplugs_all_and_asks_again() {
    let mut machine = Machine::requesting(GIB);
    machine.plug(0, GIB);
    machine.events.taken();
    machine.transport().system_reset();
    let status = machine.status();
    assert_eq!((status.plugged_size, status.requested_size, status.state), (0, GIB, State::Plugging));
    assert_eq!(machine.host.backed(), []);
    assert_eq!(machine.events.taken(), ["progress vmem0 0x0"]);
    machine.driver.start(VERSION_1 | F_UNPLUGGED_INACCESSIBLE);
    machine.plug(0, GIB);
    assert_eq!(machine.events.taken(), ["progress vmem0 0x40000000", "finished vmem0 done"]);
}

#[test]
fn memory_that_a_system_reset_cannot_give_back_is_empty_and_used_again() {
    let mut machine = Machine::requesting(GIB);
    machine.plug(0, GIB);
    machine.host.calls();
    machine.host.fail_when(|call| matches!(call, Call::Unback(_)));
    machine.transport().system_reset();
    assert_eq!(machine.host.calls(), [Call::Discard(granule(0))]);
    assert_eq!(machine.status().plugged_size, 0);
    machine.host.recover();
    machine.driver.start(VERSION_1 | F_UNPLUGGED_INACCESSIBLE);
    assert_eq!(machine.plug(0, GIB), ACK);
    assert_eq!(machine.unplug(0, GIB), ACK);
    assert_eq!(machine.host.backed(), []);
}

#[test]
fn what_is_usable_covers_the_request_and_ends_with_the_region() {
    for (requested, usable) in
        [(0, 0), (BLOCK, 384 * MIB), (128 * MIB, 384 * MIB), (GIB, GIB + 256 * MIB), (SIZE, SIZE)]
    {
        let mut machine = Machine::with(config());
        assert_eq!(machine.transport().request(requested).unwrap().usable_size, usable);
    }
    let machine = Machine::with(VirtioMemConfig { requested_size: GIB, ..config() });
    let status = machine.status();
    assert_eq!((status.state, status.usable_size), (State::Plugging, GIB + 256 * MIB));
}

proptest! {
    /// Against a list of block states: any requests, any host failures.
    #[test]
    fn it_behaves_like_a_list_of_blocks(
        steps in prop::collection::vec((0_u16..4, 0_usize..80, 0_u16..40, 0_u8..12), 1..150)
    ) {
        const BLOCKS: u64 = 75;
        let small = VirtioMemConfig { region: GuestRange::new(START, BLOCKS * BLOCK), granule: 16 * BLOCK, ..config() };
        let mut machine = Machine::with(small);
        machine.transport().request(60 * BLOCK).unwrap();
        let mut model = vec![false; usize::try_from(BLOCKS).unwrap()];
        for (kind, first, count, failure) in steps {
            match failure {
                0 => machine.host.fail_when(|call| matches!(call, Call::Back(_))),
                1 => machine.host.fail_when(|call| matches!(call, Call::Discard(_))),
                2 => machine.host.fail_when(move |call| call == Call::Unback(GuestRange::new(START, 16 * BLOCK))),
                _ => machine.host.recover(),
            }
            let response = machine.send(kind, first as u64 * BLOCK, count);
            let range = first..first + usize::from(count);
            let slice = model.get(range.clone()).filter(|slice| !slice.is_empty());
            let plugged = model.iter().filter(|plugged| **plugged).count();
            let expected = match (kind, slice) {
                (REQUEST_UNPLUG_ALL, _) => ACK,
                (_, None) => ERROR,
                (REQUEST_PLUG, Some(slice)) if slice.contains(&true) => ERROR,
                (REQUEST_PLUG, Some(slice)) if plugged + slice.len() > 60 => NACK,
                (REQUEST_UNPLUG, Some(slice)) if slice.contains(&false) => ERROR,
                (REQUEST_STATE, Some(slice)) => Some((RESPONSE_ACK, match (slice.contains(&true), slice.contains(&false)) {
                    (true, false) => STATE_PLUGGED,
                    (false, _) => STATE_UNPLUGGED,
                    _ => STATE_MIXED,
                })),
                _ => ACK,
            };
            if failure < 3 && expected == ACK && response == BUSY {
                continue;
            }
            prop_assert_eq!(response, expected, "{} {} {}", kind, first, count);
            match kind {
                REQUEST_PLUG if response == ACK => model[range].fill(true),
                REQUEST_UNPLUG if response == ACK => model[range].fill(false),
                REQUEST_UNPLUG_ALL => model.fill(false),
                _ => {}
            }
            let granules: Vec<u64> = model.chunks(16).enumerate()
                .filter(|(_, blocks)| blocks.contains(&true))
                .map(|(number, _)| START + number as u64 * 16 * BLOCK).collect();
            let backed: Vec<u64> = machine.host.backed().iter().map(|range| range.start).collect();
            prop_assert_eq!(backed, granules);
            let plugged = model.iter().filter(|plugged| **plugged).count() as u64;
            prop_assert_eq!(machine.status().plugged_size, plugged * BLOCK);
        }
    }
}
