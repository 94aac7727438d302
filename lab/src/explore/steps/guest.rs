//! Random steps with the guest's settings, and with what goes wrong.

use super::Moment;
use crate::explore::dice::Dice;
use crate::explore::{edges, machine};
use crate::scenario::{Inject, Parameters, PolicyWord, Step};

/// All parameters at once.
pub fn settings(dice: &mut Dice) -> Step {
    let contig = dice.chance(25);
    let set = Parameters {
        online_policy: Some(if contig { PolicyWord::ContigZones } else { PolicyWord::AutoMovable }),
        auto_movable_ratio: Some(machine::ratio(dice)),
        auto_movable_numa_aware: Some(dice.chance(60)),
        auto_online_blocks: Some(machine::online_word(dice)),
        acpi_eject: None,
        hwpoison_filter_dev_major: None,
    };
    Step { set: Some(set), ..Step::default() }
}

pub(super) fn set(dice: &mut Dice, moment: &Moment<'_>) -> Option<Step> {
    let mut set = Parameters::default();
    match dice.number(1..=12) {
        1..=4 => {
            let node = u32::try_from(dice.number(0..=moment.nodes - 1)).ok()?;
            let edge = edges::ratio(moment.model, node)?;
            set.auto_movable_ratio = Some(edge + dice.weighted(&[(1, 0), (1, 1)]));
        }
        5 | 6 => set.auto_movable_ratio = Some(machine::ratio(dice)),
        7 | 8 => {
            let contig = dice.chance(40);
            set.online_policy = Some(if contig { PolicyWord::ContigZones } else { PolicyWord::AutoMovable });
        }
        9 => set.auto_movable_numa_aware = Some(dice.chance(50)),
        10 | 11 => set.auto_online_blocks = Some(machine::online_word(dice)),
        _ => set.acpi_eject = Some(dice.chance(60)),
    }
    Some(Step { set: Some(set), ..Step::default() })
}

pub(super) fn inject(dice: &mut Dice, moment: &Moment<'_>) -> Option<Step> {
    let now = moment.model.linux.injected;
    let clear = now.offline || now.online;
    let inject = Inject { going_offline: !clear && dice.chance(60), going_online: !clear && dice.chance(50) };
    Some(Step { inject: Some(inject), ..Step::default() })
}

/// Answers of a virtio-mem device to its driver's next requests that are no ACK; or none any more. The driver asks again at
/// once, gives the device up, or waits for its timer; that one comes once, since it waits twice as long the next time.
pub(super) fn fault(dice: &mut Dice, moment: &Moment<'_>) -> Option<Step> {
    let ids: Vec<String> = moment.model.linux.virtio_mem.keys().cloned().collect();
    let id = dice.one_of(&ids)?;
    let (on, answer) = dice.weighted(&[
        (4, ("plug", "nack")),
        (1, ("plug", "error")),
        (1, ("unplug", "error")),
        (2, ("plug", "busy")),
        (1, ("unplug", "busy")),
        (1, ("unplug", "nack")),
    ]);
    let (nth, times) = (dice.number(1..=3), dice.number(1..=3));
    let waits = answer == "busy" || (on, answer) == ("unplug", "nack");
    let times = if waits { 1 } else { times };
    let text = format!("device={id},on={on},do={answer},nth={nth},times={times}");
    let fault = text.parse().expect("these words make a fault");
    Some(Step { fault: Some(if dice.chance(80) { vec![fault] } else { Vec::new() }), ..Step::default() })
}
