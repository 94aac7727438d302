//! A forecast as text: all that the boot shows, and after each step what has changed.

use std::fmt::{self, Write};

use dimmer_oracle::group::GroupKind;
use dimmer_oracle::virtio_mem::VirtioMem;
use dimmer_oracle::words;
use dimmer_oracle::zone::{Zone, ZoneState};
use dimmer_plan::units::Bytes;

use super::{Group, Look, Moment, Picture, requests};
use crate::scenario::{BlockSet, Effect, OutcomeWord, Size};

/// Writes a moment, each line ended.
///
/// # Errors
/// When `out` takes no more.
pub fn write(moment: &Moment<'_>, out: &mut impl Write) -> fmt::Result {
    match moment.step {
        0 => writeln!(out, "{}", moment.action)?,
        step => writeln!(out, "step {step}: {}", moment.action)?,
    }
    blocks(moment, out)?;
    let Moment { before, after, effect, .. } = moment;
    for (device, not_added) in after.not_added.iter().filter(|one| !before.not_added.contains(one)) {
        let std::ops::Range { start, end } = not_added.range;
        writeln!(out, "  {device}: {} at {start:#x} is not added: {not_added}", Size(end - start))?;
    }
    zones(before, after, out)?;
    groups(before, after, out)?;
    if before.mem_total_kb != after.mem_total_kb {
        writeln!(out, "  MemTotal {:+} kB since the boot", after.mem_total_kb)?;
    }
    came(effect, out)?;
    short(moment, out)
}

/// Why virtio-mem devices have less than was asked for.
fn short(moment: &Moment<'_>, out: &mut impl Write) -> fmt::Result {
    let linux = &moment.model.linux;
    let is_done = moment.effect.outcome == Some(OutcomeWord::Done);
    let is_short = |device: &VirtioMem| device.refused || device.plugged() < device.requested;
    let ids = linux.virtio_mem.iter().filter(|(_, device)| is_short(device)).map(|(id, _)| id);
    for id in ids.filter(|_| moment.action == "resize" && !is_done) {
        writeln!(out, "  {id}: {}", linux.why_not_more(id).unwrap_or_default())?;
    }
    Ok(())
}

/// The blocks that show something else than before: runs of neighbours that show the same now.
fn blocks(moment: &Moment<'_>, out: &mut impl Write) -> fmt::Result {
    let mut run: Option<(u64, u64, Option<Look>)> = None;
    let same = |a: Option<Look>, b: Option<Look>| match (a, b) {
        (Some(a), Some(b)) => a == b && a.node.is_some(),
        (a, b) => a.is_none() && b.is_none(),
    };
    for &(index, now) in moment.blocks.changed() {
        match &mut run {
            Some((_, last, shown)) if *last + 1 == index && same(*shown, now) => *last = index,
            _ => {
                if let Some(run) = run.replace((index, index, now)) {
                    self::run(moment, run, out)?;
                }
            }
        }
    }
    run.map_or(Ok(()), |run| self::run(moment, run, out))
}

fn run(moment: &Moment<'_>, (first, last, _): (u64, u64, Option<Look>), out: &mut impl Write) -> fmt::Result {
    let name = if first == last { format!("block {first}") } else { format!("blocks {first}-{last}") };
    writeln!(out, "  {name:<18} {}", words::shown(&moment.model.linux.memory, first))
}

fn zones(before: &Picture, after: &Picture, out: &mut impl Write) -> fmt::Result {
    let of = |picture: &Picture, node, zone| {
        let mut zones = picture.zones.iter();
        zones.find(|(other, name, _)| (*other, *name) == (node, zone)).map(|(.., state)| state.clone())
    };
    let both = before.zones.iter().chain(&after.zones);
    let mut names: Vec<(u32, Zone)> = both.map(|(node, zone, _)| (*node, *zone)).collect();
    names.sort_unstable();
    names.dedup();
    for (node, zone) in names {
        let now = of(after, node, zone);
        if of(before, node, zone) != now {
            write!(out, "  zone {zone} of node {node}: ")?;
            match now {
                Some(ZoneState { span, present, early }) => writeln!(
                    out,
                    "start_pfn {:#x}, {} pages spanned, {present} present, {early} of them early",
                    span.start,
                    span.end - span.start
                )?,
                None => writeln!(out, "empty")?,
            }
        }
    }
    Ok(())
}

fn groups(before: &Picture, after: &Picture, out: &mut impl Write) -> fmt::Result {
    for (device, _) in before.groups.iter().filter(|(device, _)| !after.groups.contains_key(*device)) {
        writeln!(out, "  group of {device}: gone")?;
    }
    for (device, group) in
        after.groups.iter().filter(|(device, group)| before.groups.get(*device) != Some(group))
    {
        writeln!(out, "  group of {device}: {group}")?;
    }
    Ok(())
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = &self.group;
        match group.kind {
            GroupKind::Static { max_pages } => write!(f, "static, at most {max_pages} pages")?,
            GroupKind::Dynamic { unit_pages } => write!(f, "dynamic, unit {unit_pages} pages")?,
        }
        write!(f, ", node {}, ", group.node)?;
        match &self.blocks[..] {
            [] => f.write_str("no blocks")?,
            blocks => write!(f, "blocks {}", runs(blocks))?,
        }
        write!(f, ", {} pages kernel, {} movable", group.present_kernel, group.present_movable)
    }
}

/// Runs of blocks as a person writes them.
pub(super) fn runs(blocks: &[(u64, u64)]) -> String {
    let run = |(first, last): &(u64, u64)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    blocks.iter().map(run).collect::<Vec<_>>().join(",")
}

/// What came of a step beside the memory.
fn came(effect: &Effect, out: &mut impl Write) -> fmt::Result {
    for (device, requests) in &effect.requests {
        writeln!(out, "  {device}: {}", requests::text(requests))?;
    }
    let mut ends: Vec<String> = effect.outcome.iter().map(|outcome| outcome.to_string()).collect();
    ends.extend(effect.plugged.map(|plugged| format!("plugged {}", Bytes(plugged))));
    if !effect.ost.is_empty() {
        let pairs: Vec<String> =
            effect.ost.iter().map(|(event, status)| format!("{event:#x},{status:#x}")).collect();
        ends.push(format!("_OST {}", pairs.join(" ")));
    }
    ends.extend(effect.dax.iter().map(ToString::to_string));
    ends.extend(effect.refused.iter().map(|(index, errno)| format!("block {index}: {errno}")));
    ends.extend(effect.stuck.map(|block| format!("an ejection waits for block {block}")));
    ends.extend(effect.hardware_corrupted.map(|bytes| format!("HardwareCorrupted {} kB", bytes >> 10)));
    if !ends.is_empty() {
        writeln!(out, "  {}", ends.join("; "))?;
    }
    let stays = BlockSet(&effect.open - &effect.unpaid);
    if !stays.0.is_empty() {
        writeln!(out, "  open: {stays} may also stay online; that all of it can be moved is assumed")?;
    }
    if !effect.unpaid.is_empty() {
        let blocks = BlockSet(effect.unpaid.clone());
        writeln!(
            out,
            "  open: {blocks} may not come for want of kernel memory; that there is enough is assumed"
        )?;
    }
    if effect.may_lose_the_guest {
        writeln!(out, "  the guest has hardly any kernel memory or no addresses left, and may be lost")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use dimmer_oracle::release::Release;

    use super::super::forecast;
    use crate::scenario::Scenario;

    fn told(text: &str, release: Release) -> String {
        let scenario =
            Scenario::parse(&format!("shows = \"it\"\n{text}"), Path::new("a.toml")).expect("valid");
        let mut told = String::new();
        let each =
            |moment: super::Moment<'_>| super::write(&moment, &mut told).map_err(|error| error.to_string());
        forecast::<String>(&scenario, release, each).expect("a forecast");
        told
    }

    #[test]
    fn a_device_that_gets_less_than_was_asked_for_says_why() {
        let text = "machine = { memory = \"size=512M\", memory_hotplug = [\"method=virtio-mem,size=128G\"] }
                    guest = { auto_online_blocks = \"online_movable\" }
                    step = [{ resize = { to = \"100G\" } }]";
        let costs = told(text, Release::new(6, 12));
        assert!(
            costs.contains(" of the requested 100G is plugged; as for the next 128M, its memmap takes 2M"),
            "{costs}"
        );
        let old = told(text, Release::new(5, 10));
        assert!(old.contains("refused; plugged 0 bytes\n  vmem0: its driver does not promise"), "{old}");
        let offline = told(&text.replace("online_movable", "offline"), Release::new(6, 12));
        assert!(offline.contains("is offline: the driver adds no more"), "{offline}");
        let enough = told(&text.replace("100G", "1G"), Release::new(6, 12));
        assert!(enough.ends_with("done; plugged 1 GiB\n"), "{enough}");
    }
}
