//! Which memory blocks a virtio-mem device has plugged only a part of, by what its driver asked for.

use std::collections::{BTreeMap, BTreeSet};

use dimmer_plan::memory::MemoryStatus;
use dimmer_plan::memory::RequestRecord;

/// The memory blocks of `block_size` that are plugged in part, with the bytes that are; nothing where that cannot be told:
/// when the machine does not keep the first requests any more, or was reset.
pub fn partly(device: &MemoryStatus, requests: &[RequestRecord], block_size: u64) -> BTreeMap<u64, u64> {
    let unit = device.block_size;
    let (Some(region), true) = (device.ranges.first(), unit > 0 && unit < block_size) else {
        return BTreeMap::new();
    };
    let mut plugged: BTreeSet<u64> = BTreeSet::new();
    for record in requests.iter().filter(|record| record.response == "ack") {
        let range = record.range.filter(|range| region.contains(range));
        let units = range.map_or(0..0, |range| range.start / unit..range.end() / unit);
        match record.request.as_str() {
            "plug" => plugged.extend(units),
            "unplug" => units.for_each(|unit| _ = plugged.remove(&unit)),
            "unplug-all" => plugged.clear(),
            _ => {}
        }
    }
    if plugged.len() as u64 * unit != device.plugged_size {
        return BTreeMap::new();
    }
    let mut blocks: BTreeMap<u64, u64> = BTreeMap::new();
    for place in plugged {
        *blocks.entry(place * unit / block_size).or_default() += unit;
    }
    blocks.retain(|_, bytes| *bytes < block_size);
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::sample::device;
    use dimmer_plan::memory::GuestRange;

    const MIB: u64 = 1 << 20;
    const BLOCK: u64 = 128 * MIB;

    fn record(request: &str, place: Option<(u64, u64)>, response: &str) -> RequestRecord {
        let range = place.map(|(start, size)| GuestRange::new(48 * BLOCK + start * MIB, size * MIB));
        RequestRecord { number: 1, request: request.into(), range, response: response.into() }
    }

    #[test]
    fn requests_that_were_granted_add_up_to_blocks() {
        let mut vmem = device("vmem0", "virtio-mem", (48, 16), 130 * MIB);
        let requests = [
            record("plug", Some((0, 128)), "ack"),
            record("unplug-all", None, "ack"),
            record("plug", Some((0, 128)), "ack"),
            record("plug", Some((128, 128)), "nack"),
            record("plug", Some((128, 4)), "ack"),
            record("unplug", Some((130, 2)), "ack"),
            record("state", Some((0, 128)), "plugged"),
        ];
        assert_eq!(partly(&vmem, &requests, BLOCK), [(49, 2 * MIB)].into());
        assert_eq!(
            partly(&vmem, &requests, MIB),
            BTreeMap::new(),
            "no part of such a small block is plugged"
        );
        vmem.plugged_size += 2 * MIB;
        assert_eq!(partly(&vmem, &requests, BLOCK), BTreeMap::new(), "some request is missing");
    }

    #[test]
    fn ranges_elsewhere_are_no_matter() {
        let vmem = device("vmem0", "virtio-mem", (48, 16), 0);
        let far = GuestRange::new(0, u64::MAX);
        let far = RequestRecord { range: Some(far), ..record("plug", None, "ack") };
        assert_eq!(partly(&vmem, &[far], BLOCK), BTreeMap::new());
    }
}
