//! What a driver gives away and takes back, whatever it says.

use std::sync::Arc;

use proptest::prelude::*;
use virtio_bindings::bindings::virtio_mmio as reg;
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace};

use super::*;
use crate::testing::{Alarms, Call, FakeHost};
use crate::virtio::testing::{Buffer, Driver, MEMORY, VERSION_1};

const CONFIG: BalloonConfig =
    BalloonConfig { target: 100, deflate_on_oom: true, free_page_reporting: true, statistics: Some(5) };
const ALL: u64 = F_STATS_VQ | F_DEFLATE_ON_OOM | F_REPORTING | VERSION_1;
const INFLATE: usize = 0;
const DEFLATE: usize = 1;
const STATS: usize = 2;
const REPORT: usize = 3;

struct Guest {
    driver: Driver<Balloon>,
    host: Arc<FakeHost>,
    alarms: Arc<Alarms>,
}

fn guest(config: BalloonConfig, features: u64) -> Guest {
    let (host, alarms) = (FakeHost::new(), Arc::<Alarms>::default());
    let driver = Driver::started(Balloon::new(config, host.clone(), alarms.clone()), features);
    Guest { driver, host, alarms }
}

fn numbers(pages: &[u32]) -> Vec<u8> {
    pages.iter().flat_map(|page| page.to_le_bytes()).collect()
}

fn entries(entries: &[(u16, u64)]) -> Vec<u8> {
    entries.iter().flat_map(|(tag, value)| [&tag.to_le_bytes()[..], &value.to_le_bytes()].concat()).collect()
}

impl Guest {
    /// What one chain has the device give back: first page and number of pages.
    fn gives(&mut self, queue: usize, buffers: &[Buffer<'_>]) -> Vec<(u64, u64)> {
        let (head, _) = self.driver.add(queue, buffers);
        self.driver.notify(queue);
        assert_eq!(self.driver.used(queue), [(head.into(), 0)]);
        self.released().into_iter().map(|range| (range.start / PAGE, range.size / PAGE)).collect()
    }

    fn released(&self) -> Vec<GuestRange> {
        let range = |call| match call {
            Call::Release(range, _) => range,
            other => panic!("{other:?}"),
        };
        self.host.calls().into_iter().map(range).collect()
    }

    fn status(&self) -> BalloonStatus {
        self.driver.transport.device().status()
    }
}

#[test]
fn listed_pages_are_given_back_in_few_pieces_and_a_deflation_needs_nothing() {
    let mut guest = guest(CONFIG, ALL);
    let list = numbers(&[9, 7, 8, 8, 100, u32::MAX, 6]);
    assert_eq!(guest.gives(INFLATE, &[Buffer::Out(&list)]), [(6, 4), (100, 1), (u32::MAX.into(), 1)]);
    assert_eq!(guest.status().given_back, 6 * PAGE);
    // A list across two buffers, with half a number at its end.
    let (first, second) = list.split_at(6);
    assert_eq!(guest.gives(INFLATE, &[Buffer::Out(first), Buffer::Out(&second[..3])]), [(7, 1), (9, 1)]);
    assert_eq!(guest.gives(DEFLATE, &[Buffer::Out(&list)]), []);
    assert_eq!(guest.gives(INFLATE, &[Buffer::Raw(1 << 40, 1024, false)]), [], "not in memory");
    assert_eq!(guest.gives(INFLATE, &[Buffer::In(64)]), [], "nothing to read");
}

#[test]
fn free_memory_is_given_back_as_whole_pages_that_then_read_as_zeroes() {
    let mut guest = guest(CONFIG, ALL);
    let buffers = [
        Buffer::Raw(PAGE * 512, 0x20_0000, true),
        Buffer::Raw(PAGE * 5 + 1, 0x3000, true),
        Buffer::Raw(PAGE * 9 + 1, 0x1000, true),
        Buffer::Raw(u64::MAX - 10, 11, true),
        Buffer::Raw(u64::MAX - 10, 5, true),
    ];
    let (head, _) = guest.driver.add(REPORT, &buffers);
    guest.driver.notify(REPORT);
    assert_eq!(guest.driver.used(REPORT), [(head.into(), 0)]);
    let range =
        |page, pages| Call::Release(GuestRange::new(page * PAGE, pages * PAGE), Afterwards::ZeroesOrSame);
    assert_eq!(guest.host.calls(), [range(512, 512), range(6, 2)]);
    assert_eq!((guest.status().reported, guest.status().given_back), (514 * PAGE, 0));
}

#[test]
fn queues_are_numbered_without_those_that_are_not_there() {
    let config = BalloonConfig { statistics: None, ..CONFIG };
    let mut only_reports = guest(config, F_REPORTING | VERSION_1);
    assert_eq!(only_reports.driver.transport.device().queue_sizes().len(), 3);
    assert_eq!(only_reports.gives(2, &[Buffer::Raw(0, 4096, true)]), [(0, 1)]);
    // The driver did not choose statistics, so its third queue is for reports, and there is no fourth.
    let mut chosen = guest(CONFIG, F_REPORTING | VERSION_1);
    assert_eq!(chosen.gives(2, &[Buffer::Raw(0, 4096, true)]), [(0, 1)]);
    chosen.driver.add(3, &[Buffer::Raw(0, 4096, true)]);
    chosen.driver.notify(3);
    assert_eq!((chosen.driver.used(3), chosen.released()), (vec![], vec![]));
}

#[test]
fn the_target_is_told_and_what_the_driver_says_is_kept_until_a_reset() {
    let mut guest = guest(CONFIG, ALL);
    let config = reg::VIRTIO_MMIO_CONFIG;
    assert_eq!((guest.driver.read(config), guest.driver.read(config + 4)), (100, 0));
    guest.driver.transport.set_target(100);
    assert_eq!(guest.driver.interrupts(), 0, "nothing new");
    guest.driver.transport.set_target(7);
    assert_eq!((guest.driver.interrupts(), guest.driver.read(config)), (2, 7));
    guest.driver.write(config + 4, 6);
    guest.driver.write(config, 1000);
    guest.driver.write(config + 8, 1000);
    assert_eq!((guest.driver.read(config), guest.driver.read(config + 4)), (7, 6));
    assert_eq!(guest.status().actual, 6);
    guest.driver.transport.system_reset();
    assert_eq!((guest.status().config.target, guest.status().actual), (7, 0));
}

#[test]
fn statistics_come_when_the_interval_is_over() {
    let mut guest = guest(CONFIG, ALL);
    let said = |guest: &Guest| guest.status().statistics.named().collect::<Vec<_>>();
    let (first, _) = guest.driver.add(STATS, &[Buffer::Out(&entries(&[(4, 77), (99, 1), (5, 88), (4, 78)]))]);
    guest.driver.notify(STATS);
    assert_eq!(said(&guest), [("free_memory", 78), ("total_memory", 88)]);
    assert_eq!(guest.driver.used(STATS), [], "the device keeps it");
    assert_eq!(guest.alarms.taken(), [(Duration::from_secs(5), STATISTICS.to_owned())]);
    guest.driver.transport.alarm("vmem0");
    guest.driver.transport.set_interval(9);
    assert_eq!(guest.alarms.taken(), [(Duration::from_secs(9), STATISTICS.to_owned())]);
    guest.driver.transport.alarm(STATISTICS);
    assert_eq!(guest.driver.used(STATS), [(first.into(), 0)]);
    guest.driver.transport.alarm(STATISTICS);
    assert_eq!(guest.driver.used(STATS), []);
    // Of two that come at once, the device keeps one.
    let (second, _) = guest.driver.add(STATS, &[Buffer::Out(&entries(&[(6, 1)]))]);
    guest.driver.add(STATS, &[Buffer::Out(&entries(&[(7, 2)])[..9])]);
    guest.driver.notify(STATS);
    assert_eq!(guest.driver.used(STATS), [(second.into(), 0)]);
    assert_eq!(said(&guest), [], "half an entry says nothing");
    guest.driver.write(reg::VIRTIO_MMIO_STATUS, 0);
    guest.driver.transport.alarm(STATISTICS);
    assert!(guest.driver.transport.state().device.held.is_none());
}

#[test]
fn a_host_that_gives_nothing_back_is_no_error_of_the_guests() {
    let mut guest = guest(CONFIG, ALL);
    guest.host.fail_when(|_| true);
    assert_eq!(guest.gives(INFLATE, &[Buffer::Out(&numbers(&[1, 2]))]), []);
    assert_eq!(guest.status().given_back, 0);
    guest.host.recover();
    assert_eq!(guest.gives(INFLATE, &[Buffer::Out(&numbers(&[1, 2]))]), [(1, 2)]);
}

#[test]
fn no_chain_and_no_pass_takes_longer_than_it_may() {
    let mut guest = guest(CONFIG, ALL);
    // A list of a million pages, none beside another.
    let list: Vec<u8> = (0..1_u32 << 20).flat_map(|page| (2 * page).to_le_bytes()).collect();
    guest.driver.memory.memory().write_slice(&list, GuestAddress(MEMORY / 2)).unwrap();
    let length = u32::try_from(list.len()).unwrap();
    for _ in 0..3 {
        guest.driver.add(INFLATE, &[Buffer::Raw(MEMORY / 2, length, false)]);
    }
    guest.driver.notify(INFLATE);
    assert_eq!((guest.driver.used(INFLATE).len(), guest.released().len()), (1, 1024));
    assert_eq!(guest.alarms.taken(), [(Duration::ZERO, QUEUES.to_owned())]);
    guest.driver.transport.alarm(QUEUES);
    assert_eq!((guest.driver.used(INFLATE).len(), guest.released().len()), (1, 1024));
    guest.driver.transport.alarm(QUEUES);
    guest.driver.used(INFLATE);
    // All memory that can be named, again and again.
    for _ in 0..2 {
        guest.driver.add(REPORT, &vec![Buffer::Raw(0, u32::MAX, true); 60]);
    }
    guest.released();
    guest.driver.notify(REPORT);
    assert_eq!(guest.driver.used(REPORT).len(), 1);
    assert_eq!(guest.released().iter().map(|range| range.size).sum::<u64>(), 256 << 20);
}

#[test]
fn another_balloon_is_not_the_same() {
    let balloon = |config| Balloon::new(config, FakeHost::new(), Arc::<Alarms>::default());
    let with = balloon(CONFIG).state();
    assert!(balloon(BalloonConfig { statistics: None, ..CONFIG }).restore(&with).is_err());
    let without = balloon(BalloonConfig { statistics: None, ..CONFIG }).state();
    assert!(balloon(CONFIG).restore(&without).is_err());
    let held = BalloonState { held: Some(3), ..without };
    assert!(balloon(BalloonConfig { statistics: None, ..CONFIG }).restore(&held).is_err());
}

proptest! {
    /// Another device goes on as the first one would have, whatever it was in the middle of.
    #[test]
    fn what_is_saved_goes_on(
        target in any::<u32>(),
        actual in any::<u32>(),
        said in prop::collection::vec((0..20_u16, any::<u64>()), 0..6),
        holds in any::<bool>(),
        interval in 1..100_u32,
    ) {
        let mut guest = guest(CONFIG, ALL);
        guest.driver.transport.set_target(target);
        guest.driver.transport.set_interval(interval);
        guest.driver.write(reg::VIRTIO_MMIO_CONFIG + 4, actual);
        if holds {
            guest.driver.add(STATS, &[Buffer::Out(&entries(&said))]);
            guest.driver.notify(STATS);
        }
        let state = guest.driver.transport.state();
        let json = serde_json::to_string(&state).unwrap();
        let alarms = Arc::<Alarms>::default();
        let balloon = Balloon::new(CONFIG, guest.host.clone(), alarms.clone());
        let mut other = VirtioMmio::new(balloon, guest.driver.memory.clone(), guest.driver.line.clone());
        other.restore(&serde_json::from_str(&json).unwrap()).unwrap();
        prop_assert_eq!(other.state(), state);
        prop_assert_eq!(other.device().status().config, guest.status().config);
        guest.driver.transport = other;
        prop_assert_eq!(alarms.taken().len(), usize::from(holds), "somebody has to ask again");
        guest.driver.transport.alarm(STATISTICS);
        prop_assert_eq!(guest.driver.used(STATS).len(), usize::from(holds));
        prop_assert_eq!(guest.gives(INFLATE, &[Buffer::Out(&numbers(&[3]))]), [(3, 1)]);
    }

    /// Whatever comes in whichever queue, only whole pages are given back, no more than a pass may, and every chain comes back but
    /// the one that is kept.
    #[test]
    fn whatever_a_driver_says_is_taken_within_bounds(
        queue in 0..4_usize,
        chains in prop::collection::vec(
            prop::collection::vec((any::<u64>(), any::<u32>(), any::<bool>(), any::<bool>()), 1..8),
            1..8,
        ),
    ) {
        let mut guest = guest(CONFIG, ALL);
        for chain in &chains {
            let mut chain = chain.clone();
            chain.sort_by_key(|(_, _, writable, _)| *writable);
            let buffers: Vec<_> = chain.into_iter().map(|(address, length, writable, near)| {
                Buffer::Raw(if near { address % MEMORY } else { address }, length, writable)
            }).collect();
            guest.driver.add(queue, &buffers);
        }
        let mut answered = 0;
        for _ in 0..64 {
            guest.driver.notify(queue);
            answered += guest.driver.used(queue).len();
            let released = guest.released();
            prop_assert!(released.iter().all(|range| range.start % PAGE == 0 && range.size % PAGE == 0 && range.size > 0));
            prop_assert!(released.iter().map(|range| range.size).sum::<u64>() <= 512 << 20);
            prop_assert!(released.len() <= 2048);
        }
        prop_assert_eq!(answered, chains.len() - usize::from(queue == STATS));
    }
}
