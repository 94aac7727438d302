//! What the files of a snapshot say.

use std::ops::Range;

use arbitrary::{Result, Unstructured};
use dimmer::snapshot::layers::{Has, find};
use dimmer::snapshot::manifest::Manifest;
use dimmer::snapshot::memory::{PAGE, Piece};
use dimmer::snapshot::{runs, state};
use dimmer_devices::memory::GuestRange;

const PAGES: u64 = 48;

pub fn state(bytes: &[u8]) {
    if let Ok(saved) = state::parse(bytes) {
        let written = serde_json::to_string(&saved).expect("a state is plain data");
        let again = state::parse(written.as_bytes()).expect("what was written is read");
        assert_eq!(serde_json::to_string(&again).expect("a state is plain data"), written);
    }
    if let Ok(manifest) = Manifest::parse(bytes) {
        let written = serde_json::to_string(&manifest).expect("a manifest is plain data");
        assert_eq!(Manifest::parse(written.as_bytes()).as_ref(), Ok(&manifest));
    }
    if let Ok(all) = runs::parse(bytes, u64::MAX) {
        assert_eq!(runs::parse(&runs::to_json(&all), u64::MAX).as_ref(), Ok(&all));
    }
}

/// A snapshot's pieces, and its runs if it is a difference, in pages.
struct Layer {
    pieces: Vec<Piece>,
    runs: Option<Vec<Range<u64>>>,
}

impl Layer {
    fn new(input: &mut Unstructured<'_>, whole: bool) -> Result<Self> {
        let page = PAGE as u64;
        let piece = |run: Range<u64>| Piece {
            owner: "boot".to_owned(),
            range: GuestRange::new(run.start * page, (run.end - run.start) * page),
        };
        let pieces: Vec<_> = ascending(input)?.into_iter().map(piece).collect();
        let scaled = |run: Range<u64>| run.start * page..run.end * page;
        let runs = if whole { None } else { Some(ascending(input)?.into_iter().map(scaled).collect()) };
        Ok(Self { pieces, runs })
    }

    /// The place in the file of the page at `address`, if the file has it.
    fn place(&self, address: u64) -> Option<u64> {
        let mut place = 0;
        for Piece { range, .. } in &self.pieces {
            if (range.start..range.end()).contains(&address) {
                place += address - range.start;
                let has = self.runs.as_ref().is_none_or(|runs| runs.iter().any(|run| run.contains(&place)));
                return has.then_some(place);
            }
            place += range.size;
        }
        None
    }

    fn knows(&self, address: u64) -> bool {
        self.pieces.iter().any(|piece| (piece.range.start..piece.range.end()).contains(&address))
    }
}

/// Runs of pages, ascending and apart; neighbours may touch.
fn ascending(input: &mut Unstructured<'_>) -> Result<Vec<Range<u64>>> {
    let (mut runs, mut at) = (Vec::new(), 0);
    for _ in 0..input.int_in_range(0_u8..=6)? {
        let start = at + u64::from(input.int_in_range(0_u8..=6)?);
        let end = start + u64::from(input.int_in_range(1_u8..=8)?);
        if end > PAGES {
            break;
        }
        runs.push(start..end);
        at = end;
    }
    Ok(runs)
}

pub fn memory(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let Ok(count) = input.int_in_range(1_usize..=4) else { return };
    let layers = (1..=count).map(|number| Layer::new(&mut input, number == count));
    let Ok(layers) = layers.collect::<Result<Vec<_>>>() else { return };
    let has: Vec<_> =
        layers.iter().map(|Layer { pieces, runs }| Has { pieces, runs: runs.as_deref() }).collect();
    let found = find(&has);
    let (mut wanted, mut place, mut nowhere) = (Vec::new(), 0, false);
    for Piece { range, .. } in &layers[0].pieces {
        for address in (range.start..range.end()).step_by(PAGE) {
            let known = layers.iter().position(|layer| !layer.knows(address)).unwrap_or(layers.len());
            let first =
                layers.iter().position(|layer| layer.place(address).is_some()).filter(|at| *at < known);
            match first {
                Some(layer) => wanted.push((layer, place, layers[layer].place(address))),
                None => nowhere = true,
            }
            place += PAGE as u64;
        }
    }
    let Ok(found) = found else { return assert!(nowhere, "all memory is somewhere, and was not found") };
    assert!(!nowhere, "memory is nowhere, and was found");
    let mut seen = Vec::new();
    for (layer, parts) in found.iter().enumerate() {
        for part in parts {
            let pages = (0..part.size).step_by(PAGE);
            seen.extend(pages.map(|at| (layer, part.place + at, Some(part.from + at))));
        }
    }
    wanted.sort_unstable();
    seen.sort_unstable();
    assert_eq!(seen, wanted);
}
