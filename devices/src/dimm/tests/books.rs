//! Whatever a guest, a host and faults do, on one machine after the other: the books agree.

use proptest::prelude::*;

use super::*;

/// One thing that happens. `pick` chooses a device, a slot or a kind of it.
#[derive(Debug, Clone)]
enum Step {
    Add {
        notify: Notify,
        ranges: Vec<(u64, u64)>,
        descending: bool,
    },
    Remove {
        pick: usize,
    },
    Eject {
        slot: u32,
    },
    Report {
        slot: u32,
        source: u32,
        status: u32,
    },
    Fetch,
    Alarm {
        pick: usize,
    },
    Reset,
    HostFails {
        start: u64,
    },
    HostRecovers,
    /// Another machine goes on where this one stands.
    MovesOn,
}

fn step() -> impl Strategy<Value = Step> {
    let notify = prop::sample::select(vec![Notify::DeviceCheck, Notify::BusCheck, Notify::None]);
    let ranges = prop::collection::vec((1_u64..3, 0_u64..2), 1..4);
    let slot = prop::sample::select(vec![0, 1, 2, 3, u32::from(block::CONTAINER)]);
    let source = prop::sample::select(vec![0, 1, 3, 0x103, 7]);
    let status = prop::sample::select(vec![0, 1, 0x80, 0x82, 0x84]);
    prop_oneof![
        4 => (notify, ranges, any::<bool>())
            .prop_map(|(notify, ranges, descending)| Step::Add { notify, ranges, descending }),
        3 => any::<usize>().prop_map(|pick| Step::Remove { pick }),
        3 => (0_u32..4).prop_map(|slot| Step::Eject { slot }),
        6 => (slot, source, status).prop_map(|(slot, source, status)| Step::Report { slot, source, status }),
        2 => Just(Step::Fetch),
        1 => any::<usize>().prop_map(|pick| Step::Alarm { pick }),
        1 => Just(Step::Reset),
        1 => (0_u64..8).prop_map(|start| Step::HostFails { start }),
        1 => Just(Step::HostRecovers),
        2 => Just(Step::MovesOn),
    ]
}

/// Every kind of fault of a DIMM, on some occasion.
fn faults() -> impl Strategy<Value = Vec<(Point, ActionName, u64)>> {
    let kinds = vec![
        (Point::Eject, ActionName::Refuse),
        (Point::Eject, ActionName::Delay),
        (Point::Eject, ActionName::LateStatus),
        (Point::Remove, ActionName::Surprise),
        (Point::Resources, ActionName::Empty),
        (Point::Interrupt, ActionName::Lose),
    ];
    let fault = (prop::sample::select(kinds), 1_u64..4).prop_map(|((on, action), nth)| (on, action, nth));
    prop::collection::vec(fault, 0..6)
}

impl Machine {
    fn picked(&self, pick: usize) -> Option<String> {
        let ids = self.ids();
        ids.get(pick.checked_rem(ids.len())?).cloned()
    }

    fn run(&mut self, number: usize, step: Step) {
        match step {
            Step::Add { notify, ranges, descending } => {
                let last = ranges.len() - 1;
                let range = |(index, (size, gap)): (usize, &(u64, u64))| DimmRange {
                    size: size * GIB,
                    gap: if index == last { 0 } else { gap * GIB },
                };
                let ranges = ranges.iter().enumerate().map(range).collect();
                // Few names, so that faults meet them.
                let id = format!("d{}", number % 4);
                drop(self.slots.add(Dimm { ranges, descending, ..dimm(&id, 0) }, notify));
            }
            Step::Remove { pick } => drop(self.picked(pick).map(|id| self.slots.remove(&id))),
            Step::Eject { slot } => self.eject(slot),
            Step::Report { slot, source, status } => self.ost(slot, source, status),
            Step::Fetch => drop(self.fetch()),
            Step::Alarm { pick } => drop(self.picked(pick).map(|id| self.slots.alarm(&id))),
            Step::Reset => {
                lock(&self.ged).reset();
                self.slots.reset();
            }
            Step::HostFails { start } => self.host.fail_when(move |call| {
                let (Call::Back(range) | Call::Unback(range) | Call::Release(range, _)) = call;
                range.start >= START + start * GIB
            }),
            Step::HostRecovers => self.host.recover(),
            Step::MovesOn => self.moves_on(),
        }
    }

    fn set(&self, faults: Vec<(Point, ActionName, u64)>) {
        let fault = |device: usize, (on, action, nth): (Point, ActionName, u64)| Fault {
            device: format!("d{}", device % 4),
            on,
            nth,
            times: 2,
            action,
            milliseconds: (action == ActionName::Delay).then_some(1),
            size: None,
        };
        let faults = faults.into_iter().enumerate().map(|(device, kind)| fault(device, kind));
        self.faults.set(faults.collect()).unwrap();
    }

    /// What the machine knows of itself fits together.
    fn assert_consistent(&mut self) {
        self.assert_books();
        let statuses = self.slots.statuses();
        for status in &statuses {
            assert_eq!(self.slots.ids.get(&status.id).copied(), status.slot);
            assert!(!self.slots.free.contains(&status.slot.unwrap()));
            assert_ne!(status.waits_for.as_deref(), Some(status.id.as_str()));
        }
        assert_eq!(statuses.len() + self.slots.free.len(), self.slots.slots.len());
        assert_eq!(self.slots.ids.len(), statuses.len());
        let mut ranges: Vec<_> = statuses.into_iter().flat_map(|status| status.ranges).collect();
        ranges.sort();
        assert!(ranges.windows(2).all(|pair| !pair[0].overlaps(&pair[1])));
    }
}

/// Every device that was removed ended its last change first, as done.
fn assert_removals_are_ends(events: &[String]) {
    for (index, event) in events.iter().enumerate() {
        if let Some(rest) = event.strip_prefix("removed ") {
            let id = rest.split(' ').next().unwrap();
            let about = events[..index].iter().rfind(|event| event.contains(&format!("{id} ")));
            assert_eq!(about, Some(&format!("finished {id} done")));
        }
    }
}

proptest! {
    #[test]
    fn a_hostile_guest_a_failing_host_and_faults_are_survived(
        steps in prop::collection::vec(step(), 1..150), faults in faults()
    ) {
        let mut machine = Machine::new(3);
        machine.set(faults);
        for (number, step) in steps.into_iter().enumerate() {
            machine.run(number, step);
            machine.assert_consistent();
        }
        assert_removals_are_ends(&machine.events.taken());
        machine.slots.reset();
        for status in machine.slots.statuses() {
            prop_assert!(matches!(status.state, State::Plugged | State::Plugging));
        }
    }

    /// With a guest that does as it should, everything that was asked for comes to an end.
    #[test]
    fn a_guest_that_answers_ends_every_change(
        steps in prop::collection::vec((any::<bool>(), any::<usize>(), 0_usize..3), 1..60)
    ) {
        let notify = [Notify::DeviceCheck, Notify::BusCheck, Notify::None];
        let mut machine = Machine::new(4);
        for (number, (add, pick, how)) in steps.into_iter().enumerate() {
            if add {
                drop(machine.slots.add(dimm(&format!("d{number}"), GIB), notify[how]));
            } else {
                drop(machine.picked(pick).map(|id| machine.slots.remove(&id)));
            }
            if how == 0 {
                machine.answer_all();
            }
        }
        drop(machine.slots.add(dimm("last", GIB), Notify::BusCheck));
        machine.answer_all();
        for status in machine.slots.statuses() {
            // One that nobody was told of waits only when there was no slot left for "last".
            let quiet = machine.slots.status("last").is_none();
            prop_assert!(status.state == State::Plugged || quiet && status.state == State::Plugging);
        }
        machine.assert_consistent();
    }
}

impl Machine {
    /// Answers everything as Linux does when nothing goes wrong.
    fn answer_all(&mut self) {
        loop {
            let notifications = self.fetch();
            if notifications.is_empty() {
                return;
            }
            for (slot, value) in notifications {
                if value != block::NOTIFY_EJECT_REQUEST {
                    self.ost(slot, value, 0);
                    continue;
                }
                self.ost(slot, 3, 0x84);
                self.eject(slot);
                assert_eq!(self.sta(slot), 0);
                self.ost(slot, 3, 0);
            }
        }
    }
}
