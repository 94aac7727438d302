//! A window as large as it can be, a thousand changes in it, and what the program needs for itself.

use std::fs;

use super::{Column, EVERY, Ground, Measure, Run, mebibytes, memory, time, timed};
use crate::bench::machine::{Machine, RAM};
use crate::bench::{Error, GIB, MIB};
use crate::host;

pub static WINDOW: Measure = Measure {
    name: "window",
    about: "A virtio-mem device of 1 TiB, or 512 GiB where the host's addresses end at 1 TiB, and 256 slots for DIMMs where \
        the program has them: the program's own memory when the guest is idle (its share of what is resident, and what it \
        has written), the mean of a thousand resizes (200 in an emulated host) by one block of 2 MiB, and by how much its own \
        memory grew meanwhile.",
    columns: &COLUMNS,
    most: EVERY,
    run: Run::Machines(run),
};

const COLUMNS: [Column; 4] = [
    memory("own memory, idle"),
    memory("written of it"),
    time("a resize by 2 MiB"),
    memory("grown by all resizes"),
];
const BLOCK: u64 = 2 * MIB;
const BASE: u64 = 128 * MIB;

fn run(ground: &Ground) -> Result<Vec<Option<f64>>, Error> {
    let slots = Machine { slots: 256, dimms: 64 * GIB, ..Machine::default() };
    let mut vm = ground.boot(&Machine { window: window(), ..slots })?;
    let mut control = vm.control(0)?;
    control.resize(BASE)?;
    vm.console().shell("sleep 1")?;
    let idle = vm.own_memory()?;
    let resizes: u16 = if host::is_emulated() { 200 } else { 1000 };
    let taken = timed(|| {
        (0..resizes).try_for_each(|number| control.resize(BASE + u64::from((number + 1) % 2) * BLOCK))
    })?;
    let grown = mebibytes(vm.own_memory()?.written) - mebibytes(idle.written);
    let resize = taken / f64::from(resizes);
    Ok(vec![Some(mebibytes(idle.share)), Some(mebibytes(idle.written)), Some(resize), Some(grown)])
}

/// The largest window that the host's addresses have room for.
fn window() -> u64 {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let bits = physical_bits(&cpuinfo).unwrap_or(40);
    let room = (1_u64 << bits.min(62)) - RAM;
    if room > 2048 * GIB { 1024 * GIB } else { 512 * GIB }
}

/// What a `/proc/cpuinfo` says of physical addresses.
fn physical_bits(cpuinfo: &str) -> Option<u32> {
    let sizes = cpuinfo.lines().find_map(|line| line.strip_prefix("address sizes"))?;
    sizes.trim_start_matches([':', '\t', ' ']).split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_addresses_are_read() {
        let cpuinfo = "flags\t: fpu\naddress sizes\t: 40 bits physical, 48 bits virtual\n";
        assert_eq!(physical_bits(cpuinfo), Some(40));
        assert_eq!(physical_bits("flags\t: fpu\n"), None);
    }
}
