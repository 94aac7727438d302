//! The oracle about the next block, held against the oracle with the whole history.

use super::*;
use crate::map::sample;
use crate::predict::forecast::{Moment, forecast};
use crate::verdict::report;
use dimmer_oracle::release::Release;

/// The words for what comes next in the sample.
fn words(seen: &Seen) -> Vec<String> {
    let all = outlook(seen, 4 * GIB).unwrap();
    all.iter().map(|next| format!("{}: {}", next.what, next.decision)).collect()
}

fn with_early() -> Seen {
    let mut seen = sample::seen();
    seen.layout.zones = sample::zones();
    seen
}

#[test]
fn each_node_and_each_virtio_mem_device_has_an_answer() {
    let seen = with_early();
    let all = words(&seen);
    assert_eq!(all.len(), 3, "{all:#?}");
    assert!(all[0].starts_with("a DIMM of 4 GiB on node 0, at block 128: Movable: "), "{all:#?}");
    assert!(all[1].starts_with("a DIMM of 4 GiB on node 1, at block 128: Normal: "), "{all:#?}");
    assert!(all[2].starts_with("the next block of vmem0, 72: Movable: "), "{all:#?}");
    let (wanted, limit) = outlook(&seen, 4 * GIB).unwrap()[0].sums().unwrap();
    assert!(wanted < limit && wanted > 4 * GIB, "{wanted} {limit}");
}

#[test]
fn what_is_not_known_is_said() {
    let mut seen = with_early();
    seen.layout.zones[0].present_early = None;
    seen.layout.groups_unknown = Some("no BTF".to_owned());
    let expected = "how much of it is boot memory is not known: no BTF";
    assert_eq!(outlook(&seen, GIB).unwrap_err(), expected);
    seen.layout.online_policy = Some("contig-zones".to_owned());
    assert!(outlook(&seen, GIB).unwrap()[0].decision.to_string().contains("contig-zones"));
    assert!(outlook(&Seen::default(), GIB).is_err());
}

#[test]
fn senseless_numbers_do_no_harm() {
    let mut seen = with_early();
    for zone in &mut seen.layout.zones {
        (zone.start_pfn, zone.spanned, zone.present) = (u64::MAX, u64::MAX, u64::MAX);
        zone.present_early = Some(u64::MAX);
    }
    for block in &mut seen.layout.blocks {
        if let Some(group) = &mut block.group {
            (group.max_pages, group.unit_pages) = (Some(u64::MAX), Some(0));
        }
    }
    let mut far = seen.layout.blocks.last().cloned().unwrap();
    far.index = u64::MAX;
    seen.layout.blocks.push(far);
    seen.devices[0].ranges[0].start = u64::MAX;
    drop(outlook(&seen, GIB));
}

/// DIMMs, and a virtio-mem device that grows by a block at a time.
const HISTORY: &str = r#"
shows = "Memory comes bit by bit"
[machine]
memory_hotplug = ["method=acpi,slots=8,size=32G", "method=virtio-mem,size=8G"]
[[step]]
plug = { id = "a", size = "4G" }
[[step]]
resize = { id = "vmem0", to = "128M" }
[[step]]
plug = { id = "b", size = "4G" }
[[step]]
resize = { id = "vmem0", to = "256M" }
[[step]]
plug = { id = "c", size = "4G" }
[[step]]
resize = { id = "vmem0", to = "384M" }
[[step]]
plug = { id = "d", size = "4G" }
[[step]]
resize = { id = "vmem0", to = "512M" }
"#;

/// The first block of each step goes where it was said to go before that step, and for the same reason.
#[test]
fn what_was_said_before_a_step_is_what_the_step_does() {
    let scenario = crate::scenario::Scenario::parse(HISTORY, std::path::Path::new("a.toml")).unwrap();
    let addresses = crate::scenario::Addresses::of(&scenario).unwrap();
    let region = &addresses.virtio_mem[0].1.region;
    let mut said: Vec<Next> = Vec::new();
    let mut zones = Vec::new();
    let mut known: std::collections::BTreeSet<u64> = [].into();
    let each = |moment: Moment<'_>| {
        let memory = &moment.model.linux.memory;
        let first = memory.blocks().keys().copied().find(|index| !known.contains(index));
        let first = first.ok_or("a step without a new block")?;
        known.extend(memory.blocks().keys());
        if moment.step > 0 {
            let answer = usize::from(moment.action == "resize");
            let done = memory.blocks()[&first].decision.as_ref();
            assert_eq!(Some(&said[answer].decision), done, "step {}: {}", moment.step, said[answer].what);
            assert!(said[answer].what.ends_with(&format!(" {first}")), "{first}: {}", said[answer].what);
            zones.extend(done.map(|done| done.zone));
        }
        let mut vmem = sample::device("vmem0", "virtio-mem", (0, 64), 0);
        vmem.ranges[0].start = region.start;
        let mut devices = vec![vmem];
        for (id, dimm) in &moment.model.linux.dimms {
            let mut device = sample::device(id, "dimm", (0, 32), 4 * GIB);
            device.ranges[0].start = dimm.blocks[0] * memory.block_size();
            devices.push(device);
        }
        let layout = Layout {
            online_policy: Some("auto-movable".to_owned()),
            auto_movable_ratio: Some(memory.policy.ratio),
            auto_movable_numa_aware: Some(memory.policy.numa_aware),
            ..report::of(&moment.model.linux)
        };
        said = outlook(&Seen { layout, devices, ..Seen::default() }, 4 * GIB)?;
        Ok::<_, String>(())
    };
    forecast(&scenario, Release::new(6, 12), each).unwrap();
    assert!(zones.contains(&Zone::Movable) && zones.contains(&Zone::Normal), "{zones:?}");
}
