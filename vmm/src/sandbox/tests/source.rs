//! What the lists and the sources say, and the document about them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::sandbox::Kind;

/// The calls of a kind, by name.
fn calls(kind: Kind) -> BTreeSet<&'static str> {
    let all = kind.calls().iter();
    all.flat_map(|calls| calls.any.iter().chain(calls.some.iter().map(|(call, _)| call)))
        .map(|call| call.name())
        .collect()
}

#[test]
fn every_list_is_short() {
    for kind in Kind::ALL {
        assert!(calls(kind).len() < 60, "{kind:?} has {}", calls(kind).len());
    }
}

#[test]
fn nobody_starts_programs_processes_or_connections_to_networks() {
    let never = [
        "execve", "execveat", "fork", "vfork", "ptrace", "kill", "bind", "listen", "mount", "bpf", "setns",
        "unshare",
    ];
    for kind in Kind::ALL {
        let calls = calls(kind);
        assert!(never.iter().all(|call| !calls.contains(call)), "{kind:?}");
        assert!(kind == Kind::Vsock || !calls.contains("socket"), "{kind:?}");
        let opens = [Kind::EventLoop, Kind::Snapshot, Kind::Signals].contains(&kind);
        assert_eq!(calls.contains("openat"), opens, "{kind:?}");
        assert_eq!(calls.contains("clone"), kind == Kind::EventLoop, "{kind:?}");
    }
}

/// Sources without those of tests.
fn sources(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let is_test = path.file_stem().is_some_and(|name| name == "tests");
        if path.is_dir() && !is_test {
            sources(&path, found);
        } else if path.is_file() && !is_test {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("mod tests {").next().unwrap_or_default().to_owned();
            found.push((path, text));
        }
    }
}

#[test]
fn no_thread_is_started_outside_of_its_sandbox() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    sources(&root, &mut all);
    assert!(all.len() > 100);
    let around = |text: &str| {
        text.contains("thread::spawn(") || text.contains("thread::Builder") || text.contains("thread::scope")
    };
    let found: Vec<_> = all
        .iter()
        .filter(|(_, text)| around(text))
        .map(|(path, _)| path.strip_prefix(&root).unwrap())
        .collect();
    assert_eq!(found, [Path::new("sandbox.rs")]);
}

/// The table of `docs/security.md`: what each kind of thread may ask of the host's kernel.
fn table() -> String {
    let common = calls(Kind::Console);
    let line = |names: &BTreeSet<&str>| names.iter().copied().collect::<Vec<_>>().join(" ");
    let mut table =
        "| threads | what they are for | calls | besides those of every thread |\n|---|---|---|---|\n"
            .to_owned();
    table += &format!("| every thread | | {} | {} |\n", common.len(), line(&common));
    for kind in Kind::ALL {
        let all = calls(kind);
        let (names, purpose) = kind.about();
        let own = line(&all.difference(&common).copied().collect());
        table += &format!("| {names} | {purpose} | {} | {own} |\n", all.len());
    }
    table
}

#[test]
fn the_document_has_the_lists() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/security.md");
    let text = fs::read_to_string(document).unwrap();
    assert!(text.contains(&table()), "docs/security.md is to have this table:\n\n{}", table());
}
