//! Which scenarios share a guest's boot.

use std::path::Path;

use super::*;

fn source(name: &str, text: &str) -> Source {
    let scenario = Scenario::parse(&format!("shows = \"\"\n{text}"), Path::new(name)).unwrap();
    Source { name: name.to_owned(), argument: name.to_owned(), scenario }
}

const MACHINE: &str = "[machine]\nmemory_hotplug = [\"method=acpi,slots=16,size=32G\"]\n";

fn steps(text: &str) -> String {
    format!("{MACHINE}{text}")
}

fn names(sources: &[Source], shared: bool) -> Vec<Vec<&str>> {
    let batches = batches(sources.iter().collect(), shared);
    batches.iter().map(|batch| batch.iter().map(|source| source.name.as_str()).collect()).collect()
}

#[test]
fn what_a_scenario_leaves_behind_is_nobody_elses() {
    let movable = "[[step]]\nplug = { id = \"d0\", size = \"1G\" }\n";
    let normal = "[[step]]\nplug = { id = \"d\", count = 4, size = \"4G\" }\n";
    let broken = "[[step]]\nwrite = { block = 5, file = \"state\", word = \"offline\" }\n";
    let sources = [
        source("a", &steps(normal)),
        source("b", &steps(movable)),
        source("c", &steps(broken)),
        source("d", &steps("")),
    ];
    assert_eq!(names(&sources, true), [["a", "b", "c", "d"]]);
    assert_eq!(names(&sources, false), [["a"], ["b"], ["c"], ["d"]]);
}

#[test]
fn what_only_a_boot_can_change_takes_another_guest() {
    let at_boot = format!("{MACHINE}dimm = [\"id=d0,size=1G\"]\n");
    let sources = [
        source("ratio", &steps("[guest]\nauto_movable_ratio = 200\n")),
        source("plain", &steps("")),
        source("memmap", &steps("[guest]\nmemmap_on_memory = true\n")),
        source("small", "[machine]\nmemory = \"size=256M\"\n"),
        source("reboot", &steps("[[step]]\nreboot = {}\n")),
        source("reboot, ratio", &steps("[guest]\nauto_movable_ratio = 200\n[[step]]\nreboot = {}\n")),
        source("at boot", &at_boot),
        source("at boot, ratio", &format!("{at_boot}[guest]\nauto_movable_ratio = 200\n")),
        source("policy", &steps("[guest]\nonline_policy = \"contig-zones\"\n")),
    ];
    let expected: [&[&str]; 7] = [
        &["ratio", "plain", "policy"],
        &["memmap"],
        &["small"],
        &["reboot"],
        &["reboot, ratio"],
        &["at boot"],
        &["at boot, ratio"],
    ];
    assert_eq!(names(&sources, true), expected);
}

#[test]
fn every_scenario_of_the_library_is_run_once_and_sharing_saves_boots() {
    let sources = crate::library::library().unwrap();
    let batches = batches(sources.iter().collect(), true);
    let mut run: Vec<&str> = batches.iter().flatten().map(|source| source.name.as_str()).collect();
    run.sort_unstable();
    assert_eq!(run, sources.iter().map(|source| source.name.as_str()).collect::<Vec<_>>());
    eprintln!("{} guests for {} scenarios", batches.len(), sources.len());
    assert!(
        batches.len() < sources.len() * 2 / 3,
        "{} guests for {} scenarios",
        batches.len(),
        sources.len()
    );
    assert!(batches.iter().all(|batch| batch.len() <= MOST));
}

#[test]
fn distributions_share_a_boot_where_nothing_of_them_differs() {
    let debian = |more: &str| steps(&format!("[guest]\ndistribution = \"debian-12\"\n{more}"));
    let sources = [
        source("a", &debian("")),
        source("ratio", &debian("auto_movable_ratio = 200\n")),
        source("b", &debian("")),
        source("packages", &debian("packages = [\"stress-ng\"]\n")),
        source("small", &steps("")),
    ];
    let expected: [&[&str]; 4] = [&["a", "b"], &["ratio"], &["packages"], &["small"]];
    assert_eq!(names(&sources, true), expected);
}
