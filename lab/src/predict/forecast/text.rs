//! A forecast as text: all that the boot shows, and after each step what has changed.

use std::fmt::{self, Write};

use dimmer_oracle::group::GroupKind;
use dimmer_oracle::words;
use dimmer_oracle::zone::{Zone, ZoneState};

use super::{Group, Look, Moment, Picture, requests};
use crate::scenario::{BlockSet, Effect, Size};

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
    came(effect, out)
}

/// The blocks that show something else than before: runs of neighbours that show the same now.
fn blocks(moment: &Moment<'_>, out: &mut impl Write) -> fmt::Result {
    let mut run: Option<(u64, u64, Option<Look>)> = None;
    let same = |a: Option<Look>, b: Option<Look>| match (a, b) {
        (Some(a), Some(b)) => (a.shown, a.node) == (b.shown, b.node) && a.node.is_some(),
        (a, b) => a.is_none() && b.is_none(),
    };
    for (index, now) in changed(&moment.before.blocks, &moment.after.blocks) {
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

/// The blocks that are not as before, ascending, with what they are now.
fn changed(before: &[Look], after: &[Look]) -> impl Iterator<Item = (u64, Option<Look>)> {
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    std::iter::from_fn(move || {
        loop {
            let (old, new) = (before.peek().copied(), after.peek().copied());
            let index = old.into_iter().chain(new).map(|look| look.index).min()?;
            let old = old.filter(|look| look.index == index).and_then(|_| before.next());
            let new = new.filter(|look| look.index == index).and_then(|_| after.next());
            if old != new {
                return Some((index, new.copied()));
            }
        }
    })
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
    ends.extend(effect.plugged.map(|plugged| format!("plugged {} MiB", plugged >> 20)));
    if !effect.ost.is_empty() {
        let pairs: Vec<String> =
            effect.ost.iter().map(|(event, status)| format!("{event:#x},{status:#x}")).collect();
        ends.push(format!("_OST {}", pairs.join(" ")));
    }
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
