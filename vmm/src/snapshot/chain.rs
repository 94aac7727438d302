//! Snapshots that are differences to others: from one down to the whole one that the chain begins with.

use std::path::{Path, PathBuf};

use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};

use super::manifest::Contents;
use super::{LARGEST_MANIFEST, MANIFEST, Manifest, SnapshotError, at, read};

/// Most snapshots of a chain.
pub const MOST: usize = 64;

/// What a manifest says of the snapshot that its own is a difference to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Where it is: from the root on, or from this snapshot's own directory on.
    pub path: String,
    /// Its id.
    pub id: String,
    /// `written.json`.
    pub written: Contents,
}

/// A snapshot that others can be differences to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Its directory, from the root on.
    pub directory: PathBuf,
    /// Its id.
    pub id: String,
}

/// One snapshot of a chain.
#[derive(Debug)]
pub struct Link {
    /// Its directory.
    pub directory: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
}

/// An id that no snapshot has: 128 random bits.
///
/// # Errors
/// What the host says.
pub fn fresh_id() -> std::io::Result<String> {
    let mut id = [0; 16];
    // So few bytes come all at once, or not at all (getrandom(2)).
    rustix::io::retry_on_intr(|| getrandom(&mut id, GetRandomFlags::empty()))?;
    Ok(format!("{:032x}", u128::from_be_bytes(id)))
}

/// The manifest of the snapshot in `directory`.
///
/// # Errors
/// [`SnapshotError`] when there is none.
pub fn manifest(directory: &Path) -> Result<Manifest, SnapshotError> {
    let path = directory.join(MANIFEST);
    let bytes = read(&path, LARGEST_MANIFEST)?;
    Manifest::parse(&bytes).map_err(|what| SnapshotError::Content { path, what })
}

/// The chain of the snapshot in `directory`, which comes first; no file but manifests is looked at.
///
/// # Errors
/// [`SnapshotError`] when a snapshot is missing or was replaced, or when they are too many.
pub fn links(directory: &Path) -> Result<Vec<Link>, SnapshotError> {
    let mut links = vec![Link { directory: directory.to_owned(), manifest: manifest(directory)? }];
    while let Some(Link { directory, manifest: above }) = links.last()
        && let Some(base) = &above.base
    {
        let wrong = |what: String| SnapshotError::Content { path: directory.join(MANIFEST), what };
        if links.len() == MOST {
            return Err(wrong(format!("the chain has more than {MOST} snapshots: merge some of them")));
        }
        let place = directory.join(&base.path);
        let below = manifest(&place)
            .map_err(|error| wrong(format!("the snapshot that it is a difference to: {error}")))?;
        if below.id != base.id {
            let place = place.display();
            return Err(wrong(format!("is a difference to a snapshot that is not at {place} any more")));
        }
        if links.iter().any(|link| link.manifest.id == below.id) {
            return Err(wrong("is a difference to itself".to_owned()));
        }
        links.push(Link { directory: place, manifest: below });
    }
    Ok(links)
}

/// Refuses to put a snapshot to `place` that needs `links`, when one of them is there.
///
/// # Errors
/// [`SnapshotError::Place`].
pub fn check_place(place: &Path, links: &[Link]) -> Result<(), SnapshotError> {
    // Where nothing is, nothing is lost.
    let Ok(there) = place.canonicalize() else { return Ok(()) };
    if links.iter().any(|link| link.directory.canonicalize().is_ok_and(|directory| directory == there)) {
        let what = "is what the new snapshot is a difference to, or has its memory from";
        return Err(SnapshotError::Place { path: place.to_owned(), what });
    }
    Ok(())
}

/// How a snapshot at `place` says where `base` is: beside it, so that both can be moved together, or from the root on.
///
/// # Errors
/// [`SnapshotError`] when the host does not know them, or the path is no text.
pub fn path_to(base: &Path, place: &Path) -> Result<String, SnapshotError> {
    let whole = |path: &Path| path.canonicalize().map_err(at(path, "find"));
    let base = whole(base)?;
    let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = whole(parent.unwrap_or_else(|| Path::new(".")))?;
    let path = match (base.parent(), base.file_name()) {
        (Some(beside), Some(name)) if beside == parent => Path::new("..").join(name),
        _ => base.clone(),
    };
    let text = path.into_os_string().into_string();
    text.map_err(|_| SnapshotError::Place { path: base, what: "must be text (UTF-8)" })
}
