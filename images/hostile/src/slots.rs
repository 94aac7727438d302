//! Ports: the slots of DIMMs and processors, and everything else that has one.

use crate::access::{from_port, say, to_port};
use crate::chance::Chance;

/// Register blocks of DIMM slots and of processors, with where in them a slot is selected, ejected and reported on.
const DIMMS: (u16, [u16; 4]) = (0xa00, [0x00, 0x24, 0x28, 0x2c]);
const PROCESSORS: (u16, [u16; 4]) = (0xa40, [0x00, 0x0c, 0x10, 0x14]);

/// Ports with something behind them, and some with nothing; without those whose only use is to end the machine.
const PORTS: [(u16, u64); 10] = [
    (0x3f8, 8),
    (0xa00, 0x38),
    (0xa40, 0x20),
    (0xa80, 0x10),
    (0xb00, 16),
    (0xb11, 1),
    (0xcf8, 8),
    (0x60, 1),
    (0x40, 4),
    (0x1234, 64),
];

/// Reads and writes ports, in every width.
pub fn storm(chance: &mut Chance) {
    for _ in 0..100 {
        let (first, count) = chance.of(&PORTS);
        let (port, width) = (first + chance.below(count) as u16, chance.of(&[1, 2, 4]));
        if chance.below(2) == 0 {
            from_port(port, width);
        } else {
            to_port(port, chance.any() as u32, width);
        }
    }
}

/// Ejects slots whether they were asked for or not, and reports anything about them.
pub fn ejects(chance: &mut Chance) {
    for _ in 0..20 {
        let (base, [select, eject, source, status]) = chance.of(&[DIMMS, DIMMS, DIMMS, PROCESSORS]);
        // Not the two processors that this runs on.
        let lowest = if base == PROCESSORS.0 { 2 } else { 0 };
        let slot = chance.of(&[0, 1, 2, 3, 4, 5, 6, 7, 0xffff, u32::MAX]).max(lowest);
        to_port(base + select, slot, 4);
        to_port(base + source, chance.of(&[0, 1, 3, 0x103, 0x200, 7]), 4);
        to_port(base + status, chance.of(&[0, 1, 2, 0x80, 0x81, 0x84, 0xffff]), 4);
        to_port(base + select, slot, 4);
        to_port(base + eject, 1, 4);
        from_port(base + 0x20, 4);
        from_port(0xb00, 4);
    }
}

/// Writes to the console without end, nearly.
pub fn flood(chance: &mut Chance) {
    for _ in 0..chance.below(50) {
        say(b"hostile   ");
    }
}
