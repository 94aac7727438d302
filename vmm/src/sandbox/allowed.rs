//! Which paths clients may name, decided before anything is done: what the host's kernel refuses in the middle of something says no
//! more than "permission denied".

use std::path::{Component, Path, PathBuf};

use super::{Confined, SANDBOX, Sandbox};
use crate::control::Refusal;

/// Directories, each as it was named and as it is.
#[derive(Debug, Default)]
struct Allowed(Vec<PathBuf>);

/// The places that clients may name.
#[derive(Debug)]
pub(super) struct Places {
    /// Of `--allow-path`; none where clients may name any.
    own: Option<Allowed>,
    /// Of sockets.
    sockets: Allowed,
    /// Snapshots that the machine goes on from.
    snapshots: Allowed,
}

impl Allowed {
    fn below<'a>(directories: impl IntoIterator<Item = &'a Path>) -> Self {
        let both = |path: &Path| [std::path::absolute(path).ok(), path.canonicalize().ok()];
        Self(directories.into_iter().flat_map(both).flatten().collect())
    }

    /// Whether `path`, which begins at the root, is below one of them. (What is a link to elsewhere is the kernel's affair.)
    fn has(&self, path: &Path) -> bool {
        !climbs(path) && self.0.iter().any(|directory| path != directory && path.starts_with(directory))
    }

    /// Whether it is one of them.
    fn is(&self, path: &Path) -> bool {
        !climbs(path) && self.0.iter().any(|directory| path == directory)
    }
}

fn climbs(path: &Path) -> bool {
    path.components().any(|part| part == Component::ParentDir)
}

impl Places {
    pub(super) fn new(own: &[PathBuf], confined: &Confined<'_>) -> Self {
        Self {
            own: (!own.is_empty()).then(|| Allowed::below(own.iter().map(PathBuf::as_path))),
            sockets: Allowed::below(confined.sockets.iter().copied()),
            snapshots: Allowed::below(confined.snapshots.iter().copied()),
        }
    }

    fn refuse(&self, field: &str, path: &Path) -> Refusal {
        let path = path.display();
        let first = self.own.as_ref().and_then(|own| own.0.first()).map(|first| first.display().to_string());
        let first = first.unwrap_or_default();
        Refusal::Invalid(format!(
            "{field}: {path} is outside of this machine's sandbox: must be below {first} or another directory of --allow-path"
        ))
    }

    /// Whether clients may have something written to `path`.
    fn may_write(&self, path: &Path) -> bool {
        self.own.as_ref().is_none_or(|own| own.has(path))
    }
}

/// Refuses a path that clients may not have something written to.
///
/// # Errors
/// [`Refusal::Invalid`] names `field`, and the flag that would allow it.
pub fn check(field: &str, path: &Path) -> Result<(), Refusal> {
    decide(field, path, |places| places.may_write(path))
}

/// Refuses a path that forks may not have a socket at.
///
/// # Errors
/// As [`check`].
pub fn check_socket(field: &str, path: &Path) -> Result<(), Refusal> {
    decide(field, path, |places| places.may_write(path) || places.sockets.has(path))
}

/// Refuses a snapshot that no other can be a difference to.
///
/// # Errors
/// As [`check`].
pub fn check_base(field: &str, path: &Path) -> Result<(), Refusal> {
    decide(field, path, |places| places.may_write(path) || places.snapshots.is(path))
}

fn decide(field: &str, path: &Path, may: impl FnOnce(&Places) -> bool) -> Result<(), Refusal> {
    match SANDBOX.get() {
        Some(Sandbox { rules: Some(_), places, .. }) if !may(places) => Err(places.refuse(field, path)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_a_directory_is_allowed_by_either_of_its_names() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let allowed = Allowed::below([&*link]);
        for path in [real.join("a"), link.join("a/b")] {
            assert!(allowed.has(&path) && !allowed.is(&path), "{}", path.display());
        }
        for path in [real.clone(), link.clone(), dir.path().join("real2/a"), link.join("../a"), "/".into()] {
            assert!(!allowed.has(&path), "{}", path.display());
        }
        assert!(allowed.is(&real) && allowed.is(&link) && !allowed.is(&real.join("../real")));
        assert!(!Allowed::default().has(Path::new("/a")));
    }

    #[test]
    fn without_the_flag_clients_name_any_path() {
        let places = |own: &[PathBuf]| {
            let confined =
                Confined { paths: super::super::Paths::default(), sockets: vec![], snapshots: vec![] };
            Places::new(own, &confined)
        };
        for path in ["/srv/snap", "/tmp/../srv/snap"] {
            assert!(places(&[]).may_write(Path::new(path)), "{path}");
        }
        assert!(!places(&["/srv".into()]).may_write(Path::new("/tmp/snap")));
    }

    #[test]
    fn a_refusal_names_the_field_and_the_flag() {
        let places = |own: &[PathBuf]| {
            let confined =
                Confined { paths: super::super::Paths::default(), sockets: vec![], snapshots: vec![] };
            Places::new(own, &confined).refuse("destination", Path::new("/a/b")).to_string()
        };
        assert_eq!(
            places(&["/srv".into()]),
            "destination: /a/b is outside of this machine's sandbox: must be below /srv or another directory of --allow-path"
        );
    }
}
