//! Simpler machines and settings.

use crate::scenario::{Guest, Machine, Scenario, Step};

/// The scenario with one thing of its machine or its guest's settings simpler, or several at once.
pub(super) fn simpler(scenario: &Scenario) -> Vec<Scenario> {
    let mut all = vec![Scenario { guest: Guest::default(), ..scenario.clone() }];
    all.extend(without_numa(scenario));
    all.extend(simpler_memory(scenario));
    all.extend(simpler_windows(scenario));
    all.extend(fewer_ranges(scenario));
    all.extend(settings(&scenario.guest).into_iter().map(|guest| Scenario { guest, ..scenario.clone() }));
    all.retain(|candidate| candidate != scenario);
    all
}

/// Each setting as it is when nothing is said about it.
fn settings(guest: &Guest) -> Vec<Guest> {
    let usual = Guest::default();
    vec![
        Guest { online_policy: usual.online_policy, ..guest.clone() },
        Guest { auto_movable_ratio: usual.auto_movable_ratio, ..guest.clone() },
        Guest { auto_movable_numa_aware: usual.auto_movable_numa_aware, ..guest.clone() },
        Guest { auto_online_blocks: usual.auto_online_blocks, ..guest.clone() },
        Guest { memmap_on_memory: usual.memmap_on_memory, ..guest.clone() },
        Guest { movable_node: usual.movable_node, ..guest.clone() },
        Guest { kernelcore: usual.kernelcore, ..guest.clone() },
        Guest { movablecore: usual.movablecore, ..guest.clone() },
        Guest { mem: usual.mem, ..guest.clone() },
        Guest { kaslr: usual.kaslr, ..guest.clone() },
    ]
}

/// Everything on node 0.
fn without_numa(scenario: &Scenario) -> Option<Scenario> {
    let node_0 = |window: &String| with_value(window, "node", "0");
    let machine = Machine {
        numa: Vec::new(),
        memory_hotplug: scenario.machine.memory_hotplug.iter().map(node_0).collect(),
        firmware_range: scenario.machine.firmware_range.iter().map(node_0).collect(),
        ..scenario.machine.clone()
    };
    let mut steps = scenario.steps.clone();
    steps.iter_mut().filter_map(|step: &mut Step| step.plug.as_mut()).for_each(|plug| plug.node = 0);
    (!scenario.machine.numa.is_empty()).then(|| Scenario { machine, steps, ..scenario.clone() })
}

/// The usual boot memory, or a round amount in one piece.
fn simpler_memory(scenario: &Scenario) -> Vec<Scenario> {
    let usual = Machine::default().memory;
    let rounder = ["size=1G,low=2G".to_owned(), "size=512M,low=2G".to_owned()];
    let known = rounder.contains(&scenario.machine.memory) || scenario.machine.memory == usual;
    let mut memories = vec![usual];
    memories.extend(rounder.into_iter().filter(|_| !known));
    let with =
        |memory| Scenario { machine: Machine { memory, ..scenario.machine.clone() }, ..scenario.clone() };
    memories.into_iter().map(with).collect()
}

/// Each window left out, and each virtio-mem device with the usual block size.
fn simpler_windows(scenario: &Scenario) -> Vec<Scenario> {
    let windows = &scenario.machine.memory_hotplug;
    let with = |memory_hotplug| {
        let machine = Machine { memory_hotplug, ..scenario.machine.clone() };
        Scenario { machine, ..scenario.clone() }
    };
    let mut all = Vec::new();
    for index in 0..windows.len() {
        let mut fewer = windows.clone();
        fewer.remove(index);
        all.push(with(fewer));
        let mut usual = windows.clone();
        usual[index] = with_value(&usual[index], "block", "2M");
        all.push(with(usual));
    }
    all
}

/// Each range of the firmware's memory map left out.
fn fewer_ranges(scenario: &Scenario) -> Vec<Scenario> {
    let without = |index| {
        let mut machine = scenario.machine.clone();
        machine.firmware_range.remove(index);
        Scenario { machine, ..scenario.clone() }
    };
    (0..scenario.machine.firmware_range.len()).map(without).collect()
}

/// The flag's value with another value for `key`, if it has one.
fn with_value(text: &str, key: &str, value: &str) -> String {
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if name == key => format!("{key}={value}"),
        _ => pair.to_owned(),
    };
    text.split(',').map(pair).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_replaced_where_its_key_stands() {
        assert_eq!(
            with_value("method=virtio-mem,block=1G,node=1", "block", "2M"),
            "method=virtio-mem,block=2M,node=1"
        );
        assert_eq!(with_value("method=acpi,slots=4", "node", "0"), "method=acpi,slots=4");
    }
}
