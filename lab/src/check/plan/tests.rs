//! Which scenarios share a guest.

use std::path::Path;

use super::*;

const RELEASE: Release = Release::new(6, 12);

fn source(name: &str, text: &str) -> Source {
    let scenario = Scenario::parse(&format!("shows = \"\"\n{text}"), Path::new(name)).unwrap();
    Source { name: name.to_owned(), argument: name.to_owned(), scenario }
}

const MACHINE: &str = "[machine]\nmemory_hotplug = [\"method=acpi,slots=16,size=32G\"]\n";

fn steps(text: &str) -> String {
    format!("{MACHINE}{text}")
}

fn names(sources: &[Source], release: Option<Release>) -> Vec<Vec<&str>> {
    let batches = batches(sources.iter().collect(), release);
    batches.iter().map(|batch| batch.iter().map(|source| source.name.as_str()).collect()).collect()
}

#[test]
fn what_leaves_memory_in_a_kernel_zone_ends_its_guest() {
    let movable = "[[step]]\nplug = { id = \"d0\", size = \"1G\" }\n";
    let normal = "[[step]]\nplug = { id = \"d\", count = 4, size = \"4G\" }\n";
    let gone = "[[step]]\nplug = { id = \"d0\", size = \"1G\" }\n[[step]]\nunplug = \"d0\"\n";
    let sources = [
        source("a", &steps(normal)),
        source("b", &steps(movable)),
        source("c", &steps(normal)),
        source("d", &steps(gone)),
    ];
    assert_eq!(names(&sources, Some(RELEASE)), [vec!["b", "d", "a"], vec!["c"]]);
    assert_eq!(names(&sources, None), [["a"], ["b"], ["c"], ["d"]]);
}

#[test]
fn what_only_a_boot_can_change_takes_another_guest() {
    let sources = [
        source("ratio", &steps("[guest]\nauto_movable_ratio = 200\n")),
        source("plain", &steps("")),
        source("memmap", &steps("[guest]\nmemmap_on_memory = true\n")),
        source("small", "[machine]\nmemory = \"size=256M\"\n"),
        source("reboot", &steps("[[step]]\nreboot = {}\n")),
        source("at boot", &format!("{MACHINE}dimm = [\"id=d0,size=1G\"]\n")),
        source("policy", &steps("[guest]\nonline_policy = \"contig-zones\"\n")),
    ];
    let expected: [&[&str]; 5] =
        [&["ratio", "plain", "policy"], &["memmap"], &["small"], &["reboot"], &["at boot"]];
    assert_eq!(names(&sources, Some(RELEASE)), expected);
}

#[test]
fn boot_memory_that_was_changed_and_many_devices_are_not_undone() {
    let undone = |text: &str| can_be_undone(&source("a", &steps(text)).scenario, RELEASE);
    assert!(undone(""));
    assert!(undone("[[step]]\nplug = { id = \"d\", count = 3, size = \"128M\" }\n"));
    assert!(!undone("[[step]]\nplug = { id = \"d\", count = 13, size = \"128M\" }\n"));
    assert!(!undone("[[step]]\noffline = \"40\"\n"));
    assert!(!undone("[[step]]\nplug = { id = \"d0\", size = \"1G\" }\nexpect = \"anything\"\n"));
}

#[test]
fn every_scenario_of_the_library_is_run_once_and_sharing_saves_boots() {
    let sources = crate::library::library().unwrap();
    let batches = batches(sources.iter().collect(), Some(RELEASE));
    let mut run: Vec<&str> = batches.iter().flatten().map(|source| source.name.as_str()).collect();
    run.sort_unstable();
    assert_eq!(run, sources.iter().map(|source| source.name.as_str()).collect::<Vec<_>>());
    assert!(
        batches.len() < sources.len() * 4 / 5,
        "{} guests for {} scenarios",
        batches.len(),
        sources.len()
    );
    assert!(batches.iter().all(|batch| batch.len() <= MOST + 1));
}
