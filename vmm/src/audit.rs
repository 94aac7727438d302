//! The machine's books held against each other: what each memory device says it has plugged, which
//! KVM memory slots there are, what the host has mapped, and what devices can read.
//!
//! Each of these is kept by somebody else: the device by its own bitmap or phase, the slots as KVM was
//! told of them, the mappings by the host's kernel. They agree after every change, so any difference
//! is a mistake of the machine's, or of the host's.

use dimmer_devices::memory::{GuestRange, Holding};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::units::Bytes;
use ranges::{intersection, show, size, union, without};

mod ranges;
#[cfg(test)]
mod tests;

/// The body of `GET /vm.audit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Audit {
    /// Whether all books agree.
    pub ok: bool,
    /// What does not agree, a sentence each.
    pub problems: Vec<String>,
    /// Each memory device's books; `boot` is the machine's own RAM.
    pub devices: Vec<DeviceAudit>,
    /// Every area of addresses that can hold memory: boot RAM, then each window, then persistent memory.
    pub areas: Vec<AreaAudit>,
}

/// The books of one memory device. Ranges are ascending; neighbours are one range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceAudit {
    /// Its id.
    pub id: String,
    /// Bytes that the device says are plugged or offered to the guest.
    pub held: u64,
    /// The same as ranges, from the device's own books.
    pub ranges: Vec<GuestRange>,
    /// What KVM memory slots cover for it.
    pub slots: Vec<GuestRange>,
    /// Number of KVM memory slots.
    pub slot_count: usize,
    /// What the host has mapped for it, as the host's kernel says.
    pub mapped: Vec<GuestRange>,
    /// Accesses of the guest to addresses of its window where nothing is plugged.
    pub stray_accesses: u64,
}

/// What an area is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AreaKind {
    /// Boot RAM.
    Boot,
    /// Other memory of the firmware's map.
    Firmware,
    /// DIMMs.
    Dimms,
    /// A virtio-mem device.
    VirtioMem,
    /// Persistent memory, which is no RAM.
    Pmem,
}

/// One area.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AreaAudit {
    /// Its addresses.
    pub range: GuestRange,
    /// What it is for.
    pub kind: AreaKind,
    /// The one device that it is for; `null` for the DIMMs' window, and for a place where no device is.
    pub device: Option<String>,
    /// Bytes in it that the host has mapped.
    pub mapped: u64,
    /// Accesses of the guest to addresses in it where nothing is plugged, and writes to what it can only read.
    pub stray_accesses: u64,
}

/// What somebody claims to have plugged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// By its own books.
    pub holding: Holding,
    /// By its status; `None` when that says nothing about what is behind the guest's addresses, as
    /// for a DIMM that the guest has not taken yet.
    pub plugged_size: Option<u64>,
    /// Whether devices are to reach it: not where it can only be read.
    pub reachable: bool,
}

/// What KVM, the host's kernel and the map for devices say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// The KVM memory slots as KVM was told of them.
    pub slots: Vec<SlotBook>,
    /// The areas.
    pub areas: Vec<AreaBooks>,
    /// What devices can read and write.
    pub published: Vec<GuestRange>,
    /// Where memory is being populated for a device that does not have it yet.
    pub prepared: Vec<GuestRange>,
}

/// A KVM memory slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotBook {
    /// For whom it is.
    pub owner: String,
    /// What it covers.
    pub range: GuestRange,
}

/// What the host says of one area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AreaBooks {
    /// Its addresses.
    pub range: GuestRange,
    /// What it is for.
    pub kind: AreaKind,
    /// The one device that it is for, if there is one.
    pub device: Option<String>,
    /// Where memory is mapped.
    pub mapped: Vec<GuestRange>,
    /// Where the file behind it, if there is one, has pages or blocks.
    pub allocated: Vec<GuestRange>,
    /// Accesses of the guest to addresses where nothing is plugged.
    pub stray_accesses: u64,
}

/// Holds what devices claim against what there is.
pub fn compare(claims: &[Claim], books: &Books) -> Audit {
    let mut problems = Vec::new();
    let mut devices = Vec::new();
    for Claim { holding, plugged_size, .. } in claims {
        let device = device_audit(holding, books);
        problems.extend(device.problems());
        if let Some(plugged) = plugged_size.filter(|plugged| *plugged != device.held) {
            let (plugged, held) = (Bytes(plugged), Bytes(device.held));
            problems.push(format!("{}: its status says {plugged}, its own books {held}", device.id));
        }
        devices.push(device);
    }
    problems.extend(overlaps(claims, books));
    problems.extend(nobodys(claims, books));
    let area = |area: &AreaBooks| AreaAudit {
        range: area.range,
        kind: area.kind,
        device: area.device.clone(),
        mapped: size(&area.mapped),
        stray_accesses: area.stray_accesses,
    };
    let areas = books.areas.iter().map(area).collect();
    Audit { ok: problems.is_empty(), problems, devices, areas }
}

fn device_audit(holding: &Holding, books: &Books) -> DeviceAudit {
    let ranges = union(holding.ranges.iter().copied());
    let slots: Vec<_> =
        books.slots.iter().filter(|slot| slot.owner == holding.id).map(|slot| slot.range).collect();
    let own = |area: &&AreaBooks| area.device.as_ref() == Some(&holding.id);
    let around = |area: &&AreaBooks| ranges.iter().any(|range| area.range.overlaps(range));
    let (mapped, strays) = match books.areas.iter().filter(own).collect::<Vec<_>>() {
        // Everything in an area of one's own counts, plugged or not.
        own if !own.is_empty() => (
            union(own.iter().flat_map(|area| area.mapped.iter().copied())),
            own.iter().map(|area| area.stray_accesses).sum(),
        ),
        _ => {
            let shared: Vec<_> = books.areas.iter().filter(around).collect();
            let mapped = union(shared.iter().flat_map(|area| area.mapped.iter().copied()));
            let claimed = union(ranges.iter().chain(&slots).copied());
            (intersection(&mapped, &claimed), shared.iter().map(|area| area.stray_accesses).sum())
        }
    };
    DeviceAudit {
        id: holding.id.clone(),
        held: size(&ranges),
        slot_count: slots.len(),
        slots: union(slots),
        ranges,
        mapped,
        stray_accesses: strays,
    }
}

impl DeviceAudit {
    /// What does not agree with the device's own books.
    fn problems(&self) -> Vec<String> {
        let books = [
            ("no KVM memory slot covers it", "KVM memory slots cover", &self.slots),
            ("the host has not mapped it", "the host has mapped", &self.mapped),
        ];
        let mut problems = Vec::new();
        for (lack, excess, ranges) in books {
            let (missing, extra) = (without(&self.ranges, ranges), without(ranges, &self.ranges));
            if !missing.is_empty() {
                problems.push(format!("{}: {} is plugged, but {lack}", self.id, show(&missing)));
            }
            if !extra.is_empty() {
                problems.push(format!("{}: {excess} {}, which is not plugged", self.id, show(&extra)));
            }
        }
        problems
    }
}

/// Addresses that two have.
fn overlaps(claims: &[Claim], books: &Books) -> Vec<String> {
    let twice = |what: &str, mut ranges: Vec<(GuestRange, &str)>| {
        ranges.sort();
        let pairs = ranges.windows(2).filter(|pair| pair[0].0.overlaps(&pair[1].0));
        let text = |pair: &[(GuestRange, &str)]| {
            let [(a, first), (b, second)] = [pair[0], pair[1]];
            format!("{what} of {first} and {second} overlap: {}", show(&[a, b]))
        };
        pairs.map(text).collect::<Vec<_>>()
    };
    let held = claims
        .iter()
        .flat_map(|Claim { holding, .. }| holding.ranges.iter().map(|range| (*range, holding.id.as_str())));
    let slots = books.slots.iter().map(|slot| (slot.range, slot.owner.as_str()));
    let mut problems = twice("the blocks", held.collect());
    problems.extend(twice("KVM memory slots", slots.collect()));
    problems
}

/// What is there although no device has it plugged.
fn nobodys(claims: &[Claim], books: &Books) -> Vec<String> {
    let of = |claims: &mut dyn Iterator<Item = &Claim>| {
        union(claims.flat_map(|claim| claim.holding.ranges.iter().copied()))
    };
    let plugged = of(&mut claims.iter());
    let reachable = of(&mut claims.iter().filter(|claim| claim.reachable));
    let mut problems = Vec::new();
    for slot in &books.slots {
        if !claims.iter().any(|claim| claim.holding.id == slot.owner) {
            let range = show(&[slot.range]);
            problems.push(format!("KVM memory slot {range} is for {}, which does not exist", slot.owner));
        }
    }
    let plugged_or_prepared = union(plugged.iter().chain(&books.prepared).copied());
    for area in &books.areas {
        let mapped = without(&union(area.mapped.iter().copied()), &plugged_or_prepared);
        // In an area with one device, the device's own line says it.
        if !mapped.is_empty() && area.device.is_none() {
            problems.push(format!("the host has mapped {}, which is not plugged", show(&mapped)));
        }
        let allocated = without(&union(area.allocated.iter().copied()), &plugged_or_prepared);
        if !allocated.is_empty() {
            problems.push(format!("the file behind {} holds memory, which is not plugged", show(&allocated)));
        }
    }
    let published = union(books.published.iter().copied());
    for (ranges, text) in [
        (without(&published, &reachable), "can be reached by devices, which is not plugged"),
        (without(&reachable, &published), "cannot be reached by devices, which is plugged"),
    ] {
        if !ranges.is_empty() {
            problems.push(format!("{} {text}", show(&ranges)));
        }
    }
    if size(&books.published) != size(&published) {
        problems.push(format!("the map for devices has ranges that overlap: {}", show(&books.published)));
    }
    problems
}
