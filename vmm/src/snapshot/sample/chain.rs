//! Snapshots of a chain for tests, of which only the memory counts.

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::snapshot::layers::{Has, Layer, find};
use crate::snapshot::memory::Piece;

/// What one snapshot has.
pub struct Snap {
    /// What is plugged.
    pub pieces: Vec<Piece>,
    /// The runs that are in the file; all, when `None`.
    pub runs: Option<Vec<Range<u64>>>,
    /// Its memory, so many bytes of it, and their checksum.
    pub file: Arc<File>,
    pub length: u64,
    pub sum: u64,
}

/// The layers of a chain that begins with its whole snapshot.
pub fn layers(snaps: &[Snap]) -> Vec<Layer> {
    let has = |snap| {
        let Snap { pieces, runs, .. }: &Snap = snap;
        Has { pieces, runs: runs.as_deref() }
    };
    let found = find(&snaps.iter().rev().map(has).collect::<Vec<_>>()).unwrap();
    let layer = |(snap, parts): (&Snap, _)| {
        let (file, path) = (snap.file.clone(), PathBuf::from("memory"));
        Layer { path, file, length: snap.length, sum: Some(snap.sum), parts }
    };
    snaps.iter().zip(found.into_iter().rev()).map(layer).collect()
}
