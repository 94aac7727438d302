//! The device against a list of block states: any requests, faults, host failures and resets, on one machine after the
//! other.

use super::*;
use proptest::prelude::*;

const BLOCKS: usize = 75;
const REQUESTED: usize = 60;

/// One step: a request, and what goes wrong with it.
#[derive(Debug, Clone)]
enum Step {
    Send {
        kind: u16,
        first: usize,
        count: u16,
        trouble: Trouble,
    },
    SystemReset {
        trouble: Trouble,
    },
    /// Another machine goes on where this one stands.
    MovesOn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    /// The host cannot back anything.
    Back,
    /// The host cannot take back what overlaps this half of the region.
    Unback(bool),
    /// The host can do neither.
    Both,
    /// The request is answered with BUSY whatever it is.
    Busy,
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        6 => Just(Trouble::None),
        1 => Just(Trouble::Back),
        1 => any::<bool>().prop_map(Trouble::Unback),
        1 => Just(Trouble::Both),
        1 => Just(Trouble::Busy),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let send = (0_u16..4, 0_usize..80, 0_u16..40, trouble());
    prop_oneof![
        20 => send.prop_map(|(kind, first, count, trouble)| Step::Send { kind, first, count, trouble }),
        1 => trouble().prop_map(|trouble| Step::SystemReset { trouble }),
        2 => Just(Step::MovesOn),
    ]
}

impl Trouble {
    fn fails(self, call: Call) -> bool {
        let middle = START + BLOCKS as u64 / 2 * BLOCK;
        match (self, call) {
            (Self::Unback(true), Call::Unback(range)) => range.end() > middle,
            (Self::Unback(false), Call::Unback(range)) => range.start < middle,
            (Self::Back, Call::Back(_)) | (Self::Both, _) => true,
            _ => false,
        }
    }
}

/// What the specification answers, in a world where nothing goes wrong.
fn expected(model: &[bool], kind: u16, first: usize, count: u16) -> Option<(u16, u16)> {
    let plugged = model.iter().filter(|plugged| **plugged).count();
    let blocks = model.get(first..first + usize::from(count)).filter(|blocks| !blocks.is_empty());
    match (kind, blocks) {
        (REQUEST_UNPLUG_ALL, _) => ACK,
        (_, None) => ERROR,
        (REQUEST_PLUG, Some(blocks)) if blocks.contains(&true) => ERROR,
        (REQUEST_PLUG, Some(blocks)) if plugged + blocks.len() > REQUESTED => NACK,
        (REQUEST_UNPLUG, Some(blocks)) if blocks.contains(&false) => ERROR,
        (REQUEST_STATE, Some(blocks)) => {
            let state = match (blocks.contains(&true), blocks.contains(&false)) {
                (true, false) => STATE_PLUGGED,
                (false, _) => STATE_UNPLUGGED,
                _ => STATE_MIXED,
            };
            Some((RESPONSE_ACK, state))
        }
        _ => ACK,
    }
}

/// The runs of plugged blocks.
fn ranges(model: &[bool]) -> Vec<GuestRange> {
    let mut ranges: Vec<GuestRange> = Vec::new();
    for (number, _) in model.iter().enumerate().filter(|(_, plugged)| **plugged) {
        let block = at(number as u64 * BLOCK, BLOCK);
        match ranges.last_mut() {
            Some(last) if last.end() == block.start => last.size += BLOCK,
            _ => ranges.push(block),
        }
    }
    ranges
}

/// Whether the host cannot carry the request out.
fn hinders(trouble: Trouble, model: &[bool], kind: u16, range: GuestRange) -> bool {
    match kind {
        REQUEST_PLUG => trouble.fails(Call::Back(range)),
        REQUEST_UNPLUG => trouble.fails(Call::Unback(range)),
        REQUEST_UNPLUG_ALL => ranges(model).iter().any(|run| trouble.fails(Call::Unback(*run))),
        _ => false,
    }
}

/// Sends a request and checks the answer against the model, which follows.
fn send(machine: &mut Machine, model: &mut [bool], step: (u16, usize, u16), trouble: Trouble) {
    let (kind, first, count) = step;
    let range = at(first as u64 * BLOCK, u64::from(count) * BLOCK);
    let should = match expected(model, kind, first, count) {
        _ if trouble == Trouble::Busy => BUSY,
        ACK if hinders(trouble, model, kind, range) => BUSY,
        answer => answer,
    };
    assert_eq!(machine.send(kind, first as u64 * BLOCK, count), should, "{kind} {first} {count} {trouble:?}");
    match kind {
        _ if should != ACK => {}
        REQUEST_PLUG => model[first..first + usize::from(count)].fill(true),
        REQUEST_UNPLUG => model[first..first + usize::from(count)].fill(false),
        REQUEST_UNPLUG_ALL => model.fill(false),
        _ => {}
    }
}

proptest! {
    #[test]
    fn it_behaves_like_a_list_of_blocks(steps in prop::collection::vec(step(), 1..150)) {
        let region = GuestRange::new(START, BLOCKS as u64 * BLOCK);
        let mut machine = Machine::with(VirtioMemConfig { region, ..config() });
        machine.transport().request(REQUESTED as u64 * BLOCK).unwrap();
        let mut model = vec![false; BLOCKS];
        for step in steps {
            let trouble = match step {
                Step::Send { trouble, .. } | Step::SystemReset { trouble } => trouble,
                Step::MovesOn => Trouble::None,
            };
            machine.host.fail_when(move |call| trouble.fails(call));
            let all = ["plug", "unplug", "unplug-all", "state"];
            let busy = all.map(|on| format!(r#"{{"on": "{on}", "do": "busy"}}"#));
            let busy: Vec<&str> = busy.iter().map(String::as_str).collect();
            machine.set_faults(if trouble == Trouble::Busy { &busy } else { &[] });
            match step {
                Step::Send { kind, first, count, .. } => send(&mut machine, &mut model, (kind, first, count), trouble),
                Step::MovesOn => machine.moves_on(VirtioMemConfig { region, ..config() }),
                Step::SystemReset { .. } => {
                    let lost = |range: &GuestRange| trouble.fails(Call::Unback(*range));
                    let stay: Vec<GuestRange> = ranges(&model).into_iter().filter(lost).collect();
                    model.fill(false);
                    for range in stay {
                        let first = usize::try_from((range.start - START) / BLOCK).unwrap();
                        model[first..first + usize::try_from(range.size / BLOCK).unwrap()].fill(true);
                    }
                    machine.transport().system_reset();
                    machine.driver.start(FEATURES);
                }
            }
            prop_assert_eq!(machine.backed(), ranges(&model));
        }
    }
}
