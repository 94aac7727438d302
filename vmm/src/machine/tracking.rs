//! What was written since a snapshot: from which one on it is marked, and which differences can be had. How, see
//! `ram/written.rs`.
//!
//! A machine stays as it is from the moment at which it says what was written until the snapshot with that is on disk. So the
//! marks are forgotten only then, and one that fails loses nothing.

use std::path::Path;

use super::Machine;
use crate::chain::chain;
use crate::control::Refusal;
use crate::sandbox;
use crate::snapshot::memory::Piece;
use crate::snapshot::{Origin, SnapshotError, Which, chain as links};
use crate::spec::SnapshotSpec;

impl Machine {
    /// Refuses a difference that cannot be had: its base has to be the snapshot since which writes are marked, whole, and
    /// not where the difference is to go.
    pub(super) fn check_base(&self, wanted: &SnapshotSpec) -> Result<(), Refusal> {
        let Some(base) = &wanted.base else { return Ok(()) };
        if !base.is_absolute() {
            let text =
                format!("base: {} must begin with /: the machine has a directory of its own", base.display());
            return Err(Refusal::Invalid(text));
        }
        sandbox::check_base("base", base)?;
        let Some(tracked) = &self.tracked else {
            let text = "base: what is written is not tracked; that begins with a snapshot with \"track\": true, or with \
                --restore DIR --track";
            return Err(Refusal::Conflict(text.to_owned()));
        };
        let links = links::links(base).map_err(|error| not_to_be_had(&error))?;
        if links[0].manifest.id != tracked.id {
            return Err(Refusal::Conflict(format!(
                "base: {} is not the snapshot since which writes are tracked; that was written to {}",
                base.display(),
                tracked.directory.display()
            )));
        }
        if links.len() >= links::MOST {
            return Err(Refusal::Conflict(format!(
                "base: the chain has {} snapshots already, which is the most; `dimmer merge` makes one of them",
                links::MOST
            )));
        }
        links::check_place(&wanted.destination, &links)
            .map_err(|error| Refusal::Conflict(format!("destination: {}", chain(&error))))
    }

    /// The snapshot that is to be written of a machine that stands still; from now on writes are marked if it asks for that.
    pub(super) fn which(&self, wanted: &SnapshotSpec, pieces: &[Piece]) -> Result<Which, Refusal> {
        let host = |error: &dyn std::error::Error| Refusal::Host(chain(error));
        let id = links::fresh_id().map_err(|error| host(&error))?;
        let Some(tracked) = &self.tracked else {
            if wanted.track == Some(true) {
                self.ram.watch().map_err(|error| host(&error))?;
            }
            return Ok(Which { id, since: None });
        };
        let runs = self.ram.written(pieces).map_err(|error| host(&error))?;
        let origin = |base: &Path| Origin { directory: base.to_owned(), id: tracked.id.clone() };
        Ok(Which { id, since: wanted.base.as_deref().map(|base| (origin(base), runs)) })
    }

    /// That snapshot is on disk.
    pub(super) fn track_from(&mut self, written: &SnapshotSpec, id: String) {
        match (written.track, &written.base) {
            (Some(false), _) => {
                self.tracked = None;
                self.ram.unwatch();
            }
            (Some(true), _) | (None, Some(_)) => {
                self.tracked = Some(Origin { directory: written.destination.clone(), id });
                self.ram.forget_written();
            }
            (None, None) => {}
        }
    }

    /// A snapshot could not be had.
    pub(super) fn track_as_before(&self) {
        if self.tracked.is_none() {
            self.ram.unwatch();
        }
    }
}

fn not_to_be_had(error: &SnapshotError) -> Refusal {
    Refusal::Conflict(format!("base: {}", chain(error)))
}
