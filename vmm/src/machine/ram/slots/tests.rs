//! Plans of slots, against a list of blocks.

use super::*;
use proptest::prelude::*;

const BLOCK: u64 = 0x100;
const BLOCKS: usize = 64;
const GRAIN: u64 = 8 * BLOCK;

fn range(blocks: std::ops::Range<usize>) -> GuestRange {
    GuestRange::new(blocks.start as u64 * BLOCK, (blocks.end - blocks.start) as u64 * BLOCK)
}

fn shown(slots: &Slots<()>) -> Vec<(u64, u64, String)> {
    slots
        .iter()
        .map(|slot| (slot.range.start / BLOCK, slot.range.end() / BLOCK, slot.owner.to_string()))
        .collect()
}

fn carry_out(slots: &mut Slots<()>, plan: &Plan) {
    let gone = slots.replace(plan, vec![(); plan.new.len()]);
    assert_eq!(gone.len(), plan.old.len());
}

/// The slots that a list of blocks, each with its owner, should have.
fn expected(blocks: &[Option<char>]) -> Vec<(u64, u64, String)> {
    let mut runs: Vec<(u64, u64, String)> = Vec::new();
    for (index, owner) in (0_u64..).zip(blocks) {
        let Some(owner) = owner.map(String::from) else { continue };
        match runs.last_mut() {
            Some(last) if last.1 == index && last.2 == owner && !(index * BLOCK).is_multiple_of(GRAIN) => {
                last.1 += 1
            }
            _ => runs.push((index, index + 1, owner)),
        }
    }
    runs
}

proptest! {
    #[test]
    fn slots_follow_a_list_of_blocks(
        steps in prop::collection::vec((any::<bool>(), 0..BLOCKS, 1..20_usize, prop::sample::select(vec!['a', 'b'])), 0..80),
    ) {
        let mut slots = Slots::default();
        let mut blocks = [None; BLOCKS];
        for (back, start, length, owner) in steps {
            let part = start..(start + length).min(BLOCKS);
            let name = owner.to_string();
            let plan = if back {
                slots.to_back(&name, range(part.clone()), Some(GRAIN))
            } else {
                slots.to_unback(&name, range(part.clone()))
            };
            let before = if back { None } else { Some(owner) };
            prop_assert_eq!(plan.is_ok(), blocks[part.clone()].iter().all(|block| *block == before));
            if let Ok(plan) = plan {
                carry_out(&mut slots, &plan);
                blocks[part].fill(back.then_some(owner));
            }
            prop_assert_eq!(shown(&slots), expected(&blocks));
        }
    }
}

#[test]
fn without_a_grain_each_range_is_a_slot_of_its_own() {
    let mut slots = Slots::default();
    for blocks in [0..20, 20..40] {
        let plan = slots.to_back("d0", range(blocks), None).unwrap();
        assert!(!plan.interrupts());
        carry_out(&mut slots, &plan);
    }
    assert_eq!(shown(&slots), [(0, 20, "d0".into()), (20, 40, "d0".into())]);
    let plan = slots.to_unback("d0", range(10..30)).unwrap();
    assert!(plan.interrupts());
    carry_out(&mut slots, &plan);
    assert_eq!(shown(&slots), [(0, 10, "d0".into()), (30, 40, "d0".into())]);
}

#[test]
fn whole_cells_come_and_go_without_touching_others() {
    let mut slots = Slots::default();
    for blocks in [0..8, 16..24, 8..16] {
        let plan = slots.to_back("m", range(blocks), Some(GRAIN)).unwrap();
        assert!(plan.old.is_empty());
        carry_out(&mut slots, &plan);
    }
    let plan = slots.to_unback("m", range(0..16)).unwrap();
    assert_eq!((plan.old.len(), plan.interrupts()), (2, false));
}

#[test]
fn a_cell_that_fills_up_becomes_one_slot() {
    let mut slots = Slots::default();
    for blocks in [0..2, 4..8] {
        let plan = slots.to_back("m", range(blocks), Some(GRAIN)).unwrap();
        carry_out(&mut slots, &plan);
    }
    let plan = slots.to_back("m", range(2..4), Some(GRAIN)).unwrap();
    assert_eq!(plan.new, [range(0..8)]);
    assert_eq!(plan.old, [0, 4 * BLOCK]);
    assert!(plan.interrupts());
}

#[test]
fn what_is_there_or_not_there_is_said() {
    let mut slots = Slots::default();
    let plan = slots.to_back("d0", range(4..8), None).unwrap();
    carry_out(&mut slots, &plan);
    let error = slots.to_back("d1", range(7..9), None).unwrap_err().to_string();
    assert_eq!(error, "0x700, 0x200 bytes long, cannot be backed for d1: 0x400 is backed for d0");
    let error = slots.to_unback("d0", range(6..9)).unwrap_err().to_string();
    assert_eq!(error, "0x600, 0x300 bytes long, is not all backed for d0: 0x800 is not");
    let error = slots.to_unback("d1", range(4..8)).unwrap_err().to_string();
    assert_eq!(error, "0x400, 0x400 bytes long, is not all backed for d1: 0x400 is not");
}
