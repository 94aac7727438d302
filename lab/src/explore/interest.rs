//! Which states are worth several ends: those in which much was decided, and those where little changes an answer.

use dimmer_oracle::zone::Zone;

use super::edges;
use crate::predict::Prediction;

/// What a state in which something is open counts, where each rule that was met on the way to it counts 1.
const STATE: u32 = 4;

/// How interesting it is to go on from here in several ways.
pub fn interest(model: &Prediction, nodes: u64) -> u32 {
    let linux = &model.linux;
    let memory = &linux.memory;
    let plugged = || memory.blocks().values().filter(|block| !block.early);
    let states = [
        // A device with memory of both kinds.
        memory.groups().any(|(_, group)| group.present_kernel > 0 && group.present_movable > 0),
        (0..nodes).any(|node| is_at_the_edge(model, u32::try_from(node).unwrap_or(0))),
        plugged().any(|block| !block.is_online()),
        plugged().any(|block| block.zone().is_some_and(|zone| zone != Zone::Movable)),
        // Something is left for later.
        linux.virtio_mem.values().any(|device| device.plugged() != device.requested),
        linux.stuck.is_some() || !linux.fixed.is_empty(),
        memory.blocks().values().any(|block| block.online_type.is_some()),
        !linux.not_added.is_empty(),
    ];
    memory.met.count() + STATE * states.iter().map(|holds| u32::from(*holds)).sum::<u32>()
}

/// Whether the ratio is the last one at which the next block is what it is, or the first one at which it is another.
fn is_at_the_edge(model: &Prediction, node: u32) -> bool {
    let ratio = model.linux.memory.policy.ratio;
    edges::ratio(model, node).is_some_and(|edge| ratio == edge || ratio == edge + 1)
}
